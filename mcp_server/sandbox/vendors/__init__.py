"""Each vendor's protocol: written out here, or played from its exchanges."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.sandbox.sandbox import Sandbox
    from mcp_server.sandbox.vendors.base import Vendor


def protocol(name: str, sandbox: Sandbox) -> Vendor:
    """The vendor's own module here, where somebody wrote one; else its `exchanges.json`."""
    own = f"{__name__}.{name}"
    module = own if find_spec(own) is not None else f"{__name__}.recorded"
    made: Vendor = import_module(module).Api(sandbox, name)
    return made
