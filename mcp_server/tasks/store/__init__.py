"""Where tasks are written down: the store's promises, and their keeping in one SQLite file."""
