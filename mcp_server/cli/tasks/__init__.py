"""Commands about clips that were ordered."""
