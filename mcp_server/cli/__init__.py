"""The commands for people: one module each, imported when it is called."""
