"""The fal adapter and its facts."""
