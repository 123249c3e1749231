"""Signing in, one's own account, and who works in a project."""
