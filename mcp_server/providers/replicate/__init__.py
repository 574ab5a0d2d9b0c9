"""The Replicate adapter and its facts."""
