"""Label maps that another model predicted for the unlabeled cases, in files: found by name, read and checked."""
