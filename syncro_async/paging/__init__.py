"""Lists that come in pages, as streams."""
