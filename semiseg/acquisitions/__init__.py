"""Rules that rank unlabeled cases for labeling."""
