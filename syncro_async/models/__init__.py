"""What the API says: structs, one file per noun."""
