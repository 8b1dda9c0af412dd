"""Sentences of a study's report."""
