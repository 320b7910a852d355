"""Many calls at once: jobs that finish, and can be gone on with when they did not."""
