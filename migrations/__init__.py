"""One straight line of schema changes, dated files."""
