"""Reward laws that can be tilted, and the frontier of each."""
