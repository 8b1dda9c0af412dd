"""Data and predictions in the forms of other tools."""
