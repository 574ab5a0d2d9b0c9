"""The MCP surface: resources, prompts, extensions, and the transports that serve them."""
