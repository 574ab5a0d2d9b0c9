"""The tools: what they are called, what they take, what they do and what they answer."""
