"""Reading volumes with integrity checks, and writing them in their own geometry."""
