"""Answers to a reader's questions, and their one way out: lines, JSON, CSV, pictures."""
