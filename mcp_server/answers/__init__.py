"""What callers read: tasks, models and spend, as one shape for the tools and for the command line's `--json`."""
