"""What the user allows: the price of one order, of a day, and whose files may be named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.domain.money import plain
from mcp_server.errors import BudgetError, KlingError, RequestError, UnknownTaskError

if TYPE_CHECKING:
    from decimal import Decimal

    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.domain.task import Task
    from mcp_server.ordering.draft import Draft
    from mcp_server.settings import Settings
    from mcp_server.tasks.store.base import TaskStore


class ConfirmationNeededError(BudgetError):
    """Somebody has to agree to the price first; `draft` is what was priced, to be bought on a yes."""

    code = "confirmation_needed"

    def __init__(self, what: str, draft: Draft) -> None:
        quote = draft.plan.quote
        known = quote.most_usd is not None
        agree = "max_cost_usd at least that price" if known else "accept_unknown_price"
        standing = "" if known else ", name a provider with a published price, or set KLING_ACCEPT_UNKNOWN_PRICE=1"
        super().__init__(
            what,
            next_step=f"Ask the user, then call again with {agree}{standing}",
            details={"usd": plain(quote.usd), "arithmetic": quote.arithmetic},
        )
        self.draft = draft


class StoppedError(KlingError):
    """The person changed their mind in time."""

    code = "stopped"
    exit_code = 130


def within(
    draft: Draft,
    settings: Settings,
    *,
    confirmed: bool = False,
    beforehand: bool = False,
    ask_above_usd: Decimal | None = None,
) -> bool:
    """Whether somebody agreed to this price; a refusal where somebody has to and nobody did. Nothing was sent.

    The one rule of consent, for every door. `confirmed`: a person who was shown this price said yes. `beforehand`: yes
    to any price that is published. `ask_above_usd`: the door's limit for whoever set none.
    """
    plan, arguments = draft.plan, draft.plan.arguments
    most, price = plan.quote.most_usd, plan.quote.arithmetic
    if plan.max_cost_usd is not None:
        _within_limit(plan.max_cost_usd, most, price)
    if plan.simulated or confirmed:
        return confirmed
    if most is None:
        if arguments.accept_unknown_price or settings.accept_unknown_price:
            return True
        dollars = "" if plan.quote.amount is None else " in dollars"
        raise ConfirmationNeededError(f"The price{dollars} is not known: {price.removeprefix('unknown: ')}", draft)
    if (above := settings.confirm_above_usd) is None:
        above = ask_above_usd
    # A limit that words name may be a sum in the scene: it refuses, and it agrees to nothing.
    if not beforehand and arguments.max_cost_usd is None and above is not None and most > above:
        raise ConfirmationNeededError(f"This costs {price}; the user wants to be asked above ${above}", draft)
    return beforehand


def _within_limit(limit: Decimal, most: Decimal | None, price: str) -> None:
    if most is None:
        raise BudgetError(
            f"max_cost_usd is {limit}, but the price is not known: {price}",
            next_step="Name a provider with a published price, or leave max_cost_usd out",
        )
    if most > limit:
        raise BudgetError(
            f"This costs {price}, more than max_cost_usd {limit}",
            next_step="Raise max_cost_usd, or ask for something shorter, silent or of a lower tier",
        )


def own_files(arguments: VideoArguments, owner: str) -> None:
    """Somebody who came over the network with a token names no files of this machine, to read or to write."""
    if not owner:
        return
    from mcp_server.providers.media_inputs import kind_of

    places = (
        arguments.image,
        arguments.end_image,
        arguments.video,
        arguments.audio_file,
        *(arguments.references or ()),
    )
    local = [place for place in places if place is not None and kind_of(place) == "file"]
    if local or arguments.output_dir is not None:
        raise RequestError(
            "Files and folders of the server cannot be named over the network",
            next_step="Use a public https address or a data: URI, and leave output_dir out",
        )


async def own_job(store: TaskStore, job_id: str, owner: str) -> Task | None:
    """The task with this vendor's id; over the network no other will do, for all order through the same accounts."""
    from mcp_server.tasks.store.base import Filter

    found = await store.find(Filter(job_id=job_id, owner=owner, limit=1))
    if not found and owner:
        raise UnknownTaskError(
            f"No task of yours is the job {job_id!r}",
            why="over the network a vendor's id is taken only for a clip that was ordered here, under the same token",
            next_step="Give the task_id that generate_video answered with",
        )
    return found[0] if found else None
