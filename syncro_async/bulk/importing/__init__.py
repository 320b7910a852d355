"""Imports: rows of a file sent as leads, each exactly once."""
