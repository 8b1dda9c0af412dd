"""Pages, tables and figures of any content."""
