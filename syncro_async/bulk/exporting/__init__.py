"""Exports: the whole list of leads written to a file."""
