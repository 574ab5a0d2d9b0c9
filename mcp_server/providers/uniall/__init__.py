"""The uniall adapter and its facts."""
