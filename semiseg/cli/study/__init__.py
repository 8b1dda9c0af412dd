"""``semiseg study``: its commands and what they show."""
