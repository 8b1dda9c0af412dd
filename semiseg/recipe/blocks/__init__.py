"""The blocks of a recipe, one module each for the larger ones."""
