"""Reading volumes with integrity checks, and writing them on their original grid."""
