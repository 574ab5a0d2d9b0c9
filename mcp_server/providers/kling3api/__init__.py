"""The kling3api adapter and its facts."""
