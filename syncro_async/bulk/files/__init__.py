"""Files of rows and of leads: formats, columns and values."""
