"""How many calls may be sent, and when."""
