"""What may be asked of the API: one file per noun."""
