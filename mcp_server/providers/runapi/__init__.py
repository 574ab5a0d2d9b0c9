"""The runapi adapter and its facts."""
