"""Jobs over many leads, that finish whatever happens meanwhile."""
