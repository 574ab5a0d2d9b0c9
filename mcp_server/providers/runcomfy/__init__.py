"""The runcomfy adapter and its facts."""
