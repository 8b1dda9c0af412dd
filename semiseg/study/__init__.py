"""A study: many models from one recipe, planned, run and brought together."""
