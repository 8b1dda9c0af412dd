"""Studies: many models from one recipe, planned, run and compared."""
