"""Measuring processes for what a worker does beside the forward pass."""
