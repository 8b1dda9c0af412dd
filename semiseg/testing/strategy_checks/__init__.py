"""Checks of strategies by subject; ``semiseg.testing.strategy`` combines them into one suite."""
