"""Films: a board is planned and priced as a whole, filmed as ordinary tasks, and joined into one checked file."""
