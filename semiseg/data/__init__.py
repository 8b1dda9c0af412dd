"""Splits, the case store, patch sampling and two-stream batches."""
