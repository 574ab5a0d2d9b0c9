"""The adapter for Kling's own API, and its facts."""
