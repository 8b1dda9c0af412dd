"""Recipes: schema, loading with line numbers, overrides."""
