"""What speaks with the vendors; each adapter is imported when somebody needs it."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from mcp_server.domain.catalog import Provider
    from mcp_server.providers.base import LiveFacts, LivePrices, Uploads, Wire
    from mcp_server.providers.callbacks import Callbacks

# httpx brings a command of its own, and with it click, rich and pygments, wherever those are installed: a third of its
# import and five megabytes, for what nobody calls here. None is how Python says that a module is not there.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def wire(facts: Provider) -> Wire:
    """The adapter that speaks this vendor's protocol; imported only when somebody needs it."""
    made: Wire = import_module(f"mcp_server.providers.{facts.id}.wire").Wire(facts)
    return made


def uploads(facts: Provider) -> Uploads:
    """How this vendor takes local files; asked only where `media_inputs` says that it does."""
    made: Uploads = import_module(f"mcp_server.providers.{facts.id}.uploads").Files(facts)
    return made


def live_prices(facts: Provider) -> LivePrices:
    """How this vendor is asked what an order would cost today; asked only where `live_prices` says that it answers."""
    return cast("LivePrices", import_module(f"mcp_server.providers.{facts.id}.pricing_calls"))


def live_facts(facts: Provider) -> LiveFacts:
    """How this vendor is asked what it sells today; asked only where `live_facts` says that it answers."""
    return cast("LiveFacts", import_module(f"mcp_server.providers.{facts.id}.live_facts"))


def callback_reader(facts: Provider) -> Callbacks:
    """How this vendor's posts prove themselves; asked only where `callbacks` says that it signs them."""
    made: Callbacks = import_module(f"mcp_server.providers.{facts.id}.callbacks").Posts(facts)
    return made
