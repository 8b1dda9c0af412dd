"""The report of a study: results, tables, figures and sentences."""
