"""`kling-video doctor`: what is set up, which keys answer, and what to do next. Spends nothing."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mcp_server import __version__
from mcp_server.cli import parser
from mcp_server.cli.screen import Screen
from mcp_server.cli.setup import checks, fact_watch
from mcp_server.cli.setup.checks import Finding, bad
from mcp_server.errors import KlingError, ProviderError
from mcp_server.providers.key_pair import key_pair, missing_half

if TYPE_CHECKING:
    from mcp_server.domain.catalog import Provider
    from mcp_server.providers.base import Balance
    from mcp_server.providers.transport import Transport
    from mcp_server.service import Service

_SIGN = {"good": "ok", "note": "--", "bad": "!!"}
_STYLE = {"good": "green", "note": "dim", "bad": "bold red"}


def flags() -> parser.Parser:
    made = parser.command("doctor", "Keys, files, clients; each vendor with a key is asked what is left.")
    how = made.add_mutually_exclusive_group()
    how.add_argument("--offline", action="store_true", help="ask no vendor")
    how.add_argument("--facts", action="store_true", help="compare prices and models with what vendors say today")
    return made


def run(argv: list[str]) -> int:
    """Look at everything; the exit code is that of the first thing that is wrong."""
    given = flags().parse_args(argv)
    from mcp_server.composition import build

    found = asyncio.run(fact_watch.look(build()) if given.facts else _look(build(), offline=given.offline))
    screen = Screen(as_json=given.json)
    wrong = [finding for finding in found if finding.level == "bad"]
    if given.json:
        screen.facts(
            {
                "ok": not wrong,
                "version": __version__,
                "python": platform.python_version(),
                "findings": [finding.facts() for finding in found],
            }
        )
    else:
        _show(screen, found)
    return wrong[0].exit_code if wrong else 0


async def _look(service: Service, *, offline: bool) -> list[Finding]:
    from mcp_server.providers.transport import Transport

    providers = list(service.catalog.providers.values())
    transport = Transport(now=time.time)
    try:
        shared = [finding async for finding in checks.shared(service.settings, service.now)]
        shared += [finding async for finding in checks.store(service.settings, service.objects)]
        keys = await asyncio.gather(*(_key(service, transport, facts, offline=offline) for facts in providers))
        sandbox = await _sandbox(service, transport, next(facts for facts in providers if facts.rehearsable))
    finally:
        await transport.aclose()
        await service.close()
    return [
        *keys,
        *_pairs(service),
        *_unpriced(service),
        _nobody(service, sandbox),
        *shared,
        *checks.files(service.settings),
        checks.media(),
        *checks.clients(service.settings, providers),
    ]


async def _key(service: Service, transport: Transport, facts: Provider, *, offline: bool) -> Finding:
    """Whether there is a key, and whether the vendor takes it."""
    from mcp_server.ordering import balances

    secret = service.settings.secret(facts.key_variable, facts.token_file)
    if secret is None:
        return Finding(about="keys", name=facts.id, level="note", what=f"no key ({facts.key_variable})")
    origin = f"key from {secret.origin}"
    if offline:
        return Finding(about="keys", name=facts.id, level="good", what=f"{origin}; not asked")
    try:
        left = await _balance(service, transport, facts, simulated=False)
    except ProviderError as error:
        if error.fault in ("no_funds", "rate_limited"):
            return Finding(
                about="keys", name=facts.id, level="note", what=f"{origin}; {error.what}", next_step=error.next_step
            )
        return bad("keys", facts.id, f"{origin}; {error.what}", error.next_step, error.exit_code)
    except KlingError as error:
        return bad("keys", facts.id, f"{origin}; {error.what}", error.next_step, error.exit_code)
    if left is None:
        what = f"{origin}; this vendor has no documented way to ask whether it works"
        return Finding(about="keys", name=facts.id, level="note", what=what)
    return Finding(about="keys", name=facts.id, level="good", what=f"{origin}; works; {balances.left(left)}")


def _pairs(service: Service) -> Iterable[Finding]:
    """Whether there is a pair of keys that signs, where a vendor has such; a half one signs nothing."""
    for facts in service.catalog.providers.values():
        name = f"{facts.id} pair"
        if missing := missing_half(facts, service.settings):
            next_step = f"Set both, or `kling-video auth {facts.id} --pair`"
            yield Finding(about="keys", name=name, level="note", what=missing, next_step=next_step)
        elif pair := key_pair(facts, service.settings):
            origins = " and ".join(dict.fromkeys((pair.access.origin, pair.signing.origin)))
            what = f"pair from {origins}; there is no documented way to ask whether it works"
            yield Finding(about="keys", name=name, level="note", what=what)


def _unpriced(service: Service) -> Iterable[Finding]:
    """What a vendor with a key needs beyond it, where nobody knows its prices."""
    for facts in service.catalog.providers.values():
        what = checks.unpriced(service.settings, facts, service.catalog.prices)
        if what and facts.id in service.planner.signed_in:
            yield Finding(about="keys", name=f"{facts.id} prices", level="note", what=what)


async def _balance(service: Service, transport: Transport, facts: Provider, *, simulated: bool) -> Balance | None:
    from mcp_server.ordering import balances

    return await balances.balance(transport, await service.account(facts.id, simulated))


async def _sandbox(service: Service, transport: Transport, facts: Provider) -> KlingError | None:
    """Whether the built-in sandbox answers on this machine."""
    try:
        await _balance(service, transport, facts, simulated=True)
    except KlingError as error:
        return error
    return None


def _nobody(service: Service, trouble: KlingError | None) -> Finding:
    if trouble is not None:
        return bad("keys", "sandbox", f"does not answer: {trouble.what}", trouble.next_step, trouble.exit_code)
    if service.planner.signed_in:
        return Finding(about="keys", name="sandbox", level="good", what="answers; provider=sandbox rehearses for free")
    return Finding(
        about="keys",
        name="sandbox",
        level="good",
        what="answers; without any key it plays the vendors, for free, and says so",
        next_step="`kling-video auth PROVIDER` stores a key for the real thing",
    )


def _show(screen: Screen, found: Iterable[Finding]) -> None:
    about = ""
    screen.line(f"kling-video {__version__}, Python {platform.python_version()}")
    steps: list[str] = []
    for finding in found:
        if finding.about != about:
            about = finding.about
            screen.line(about, "bold", gap=True)
        screen.line(f"  {_SIGN[finding.level]}  {finding.name:<20} {finding.what}", _STYLE[finding.level])
        if finding.next_step:
            steps.append(finding.next_step)
    screen.line("next", "bold", gap=True)
    for step in dict.fromkeys(steps) or ('Nothing: `kling-video generate "kling 5s: a neon city"`',):
        screen.line(f"  -  {step}")
