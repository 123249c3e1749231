"""The pages, one folder per feature, with the same names as in `hitl`."""
