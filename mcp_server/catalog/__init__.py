"""What is sold: the fact files read, checked and frozen, and the names of models and vendors."""

from mcp_server.catalog.loader import REGISTRY, FactError, load

__all__ = ["REGISTRY", "FactError", "load"]
