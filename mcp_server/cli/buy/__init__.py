"""Commands that order a clip, or say what one would cost."""
