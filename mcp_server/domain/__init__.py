"""The nouns: frozen, without I/O, without a clock."""
