"""``semiseg plugins``: its commands."""
