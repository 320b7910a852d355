"""One budget for many processes: a state in a store, and a session for each event loop."""
