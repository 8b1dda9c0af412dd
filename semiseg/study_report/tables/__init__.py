"""Tables of a study's report."""
