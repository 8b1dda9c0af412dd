"""Pages, tables and figures, independent of their content."""
