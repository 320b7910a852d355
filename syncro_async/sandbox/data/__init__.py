"""The data that the sandbox keeps."""
