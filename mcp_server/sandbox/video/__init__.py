"""The sandbox's clips: drawn, encoded and kept."""
