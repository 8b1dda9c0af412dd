"""What the public code of a method computes and sets: numbers and defaults, with their places."""
