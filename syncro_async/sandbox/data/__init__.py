"""The stored data of the sandbox."""
