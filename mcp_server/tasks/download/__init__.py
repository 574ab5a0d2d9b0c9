"""From a clip's link to a file: only from where it may come, whole, under a name that was free."""
