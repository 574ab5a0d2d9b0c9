"""One MCP server and one command line for every way to buy a Kling video."""

__version__ = "0.1.0"
