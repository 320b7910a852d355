"""Syncs: a database table kept equal to the list of leads."""
