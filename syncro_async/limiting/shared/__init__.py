"""One budget for many processes: a queue in a store, and a desk at it for each event loop."""
