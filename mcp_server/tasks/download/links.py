"""Which addresses a finished clip may be fetched from."""

from __future__ import annotations

from collections.abc import Callable

from mcp_server.errors import KlingError
from mcp_server.providers.accounts import Account
from mcp_server.providers.destinations import Place, Resolve, UnfitError, checked
from mcp_server.providers.reading import shown


class LinkRefusedError(KlingError):
    """The vendor's link leads somewhere this program does not go."""

    code = "link_refused"
    exit_code = 69


class LinkUnreachableError(KlingError):
    """The link's host cannot be found now."""

    code = "unreachable"
    exit_code = 75


async def check(url: str, account: Account, *, resolve: Resolve, proxied: Callable[[str], bool]) -> Place:
    """The place behind the link, if it is public, encrypted and the provider's; LinkRefusedError otherwise."""
    try:
        return await checked(url, account, resolve=resolve, proxied=proxied, only=account.facts.media_hosts)
    except UnfitError as error:
        raise LinkRefusedError(
            f"The clip's link ({shown(error.host, 100) or 'without a host'}) is not followed",
            why=error.why,
            next_step="The link stands in video_url: open it yourself if you trust it",
            money="charged",
        ) from None
    except (OSError, UnicodeError) as error:
        raise LinkUnreachableError(f"The clip's host could not be looked up ({error})") from None
