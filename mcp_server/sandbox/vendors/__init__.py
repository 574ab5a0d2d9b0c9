"""Each vendor's protocol as the sandbox plays it."""
