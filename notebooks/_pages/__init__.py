"""Sentences, tables and pictures of the chapters on training, shared by several notebooks."""
