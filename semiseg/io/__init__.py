"""Reading volumes and pictures with integrity checks, and writing labels on their original grid."""
