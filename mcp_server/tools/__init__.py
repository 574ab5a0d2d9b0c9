"""The MCP surface: six tools, resources, prompts, extensions, and the runners that serve them."""
