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
from mcp_server.cli.setup import checks
from mcp_server.cli.setup.checks import Finding, bad
from mcp_server.domain.money import money
from mcp_server.errors import KlingError, ProviderError

if TYPE_CHECKING:
    from mcp_server.domain.catalog import Provider
    from mcp_server.providers.base import Balance
    from mcp_server.providers.transport import Transport
    from mcp_server.service import Service

_SIGN = {"good": "ok", "note": "--", "bad": "!!"}
_STYLE = {"good": "green", "note": "dim", "bad": "bold red"}


def flags() -> parser.Parser:
    made = parser.command("doctor", "Keys, files, clients; each vendor with a key is asked what is left.")
    made.add_argument("--offline", action="store_true", help="ask no vendor")
    return made


def run(argv: list[str]) -> int:
    """Look at everything; the exit code is that of the first thing that is wrong."""
    given = flags().parse_args(argv)
    from mcp_server.composition import build

    found = asyncio.run(_look(build(), offline=given.offline))
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
        keys = await asyncio.gather(*(_key(service, transport, facts, offline=offline) for facts in providers))
        sandbox = await _sandbox(service, transport, next(facts for facts in providers if facts.rehearsable))
    finally:
        await transport.aclose()
        await service.close()
    return [
        *keys,
        *_unpriced(service),
        _nobody(service, sandbox),
        *checks.files(service.settings),
        checks.media(),
        *checks.clients(service.settings, providers),
    ]


async def _key(service: Service, transport: Transport, facts: Provider, *, offline: bool) -> Finding:
    """Whether there is a key, and whether the vendor takes it."""
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
    return Finding(about="keys", name=facts.id, level="good", what=f"{origin}; {_left(left)}")


def _unpriced(service: Service) -> Iterable[Finding]:
    """What a vendor with a key needs beyond it, where nobody knows its prices."""
    for facts in service.catalog.providers.values():
        what = checks.unpriced(service.settings, facts, service.catalog.prices)
        if what and facts.id in service.planner.signed_in:
            yield Finding(about="keys", name=f"{facts.id} prices", level="note", what=what)


async def _balance(service: Service, transport: Transport, facts: Provider, *, simulated: bool) -> Balance | None:
    from mcp_server.providers import wire

    adapter = wire(facts)
    call = adapter.balance()
    if call is None:
        return None
    return adapter.read_balance(await transport.ask(await service.account(facts.id, simulated), call))


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


def _left(balance: Balance) -> str:
    if balance.amount is None:
        return "works; no limit on this account"
    if balance.currency == "USD":
        return f"works; {money(balance.amount, 'USD')} left"
    return f"works; {balance.amount:f} {balance.currency} left"


def _show(screen: Screen, found: Iterable[Finding]) -> None:
    about = ""
    screen.line(f"kling-video {__version__}, Python {platform.python_version()}")
    steps: list[str] = []
    for finding in found:
        if finding.about != about:
            about = finding.about
            screen.line(f"\n{about}", "bold")
        screen.line(f"  {_SIGN[finding.level]}  {finding.name:<20} {finding.what}", _STYLE[finding.level])
        if finding.next_step:
            steps.append(finding.next_step)
    screen.line("\nnext", "bold")
    for step in dict.fromkeys(steps) or ('Nothing: `kling-video generate "kling 5s: a neon city"`',):
        screen.line(f"  -  {step}")
