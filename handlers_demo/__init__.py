"""Durable functions to read, run and copy."""
