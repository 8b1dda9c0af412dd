"""Scoring predictions against references: labels, masks, metrics, tables, summaries."""
