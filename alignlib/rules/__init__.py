"""Inference-time rules that draw responses and keep one: exact on a law, estimated from samples."""
