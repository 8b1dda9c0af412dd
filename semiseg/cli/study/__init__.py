"""``semiseg study``: its commands and their output."""
