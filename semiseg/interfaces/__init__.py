"""Component interfaces, one module per kind."""
