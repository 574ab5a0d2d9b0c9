"""What the user allows: the price of one order, of a day, and whose files may be named."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol

from mcp_server.errors import BudgetError, KlingError, RequestError, UnknownTaskError

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.domain.request import VideoRequest
    from mcp_server.domain.task import Task
    from mcp_server.ordering.draft import Draft
    from mcp_server.settings import Settings
    from mcp_server.tasks.store.base import TaskStore


ASK_ABOVE_USD: Final = Decimal(1)
"""Where a person is asked who has set no limit of their own (KLING_CONFIRM_ABOVE_USD)."""


class Priced(Protocol):
    """What somebody agrees to: an order, or a whole film."""

    @property
    def simulated(self) -> bool: ...

    @property
    def total(self) -> Cost:
        """The price of all of it, as it is shown."""
        ...

    @property
    def most_usd(self) -> Decimal | None:
        """What all of it can cost at most; None when nobody knows."""
        ...


class ConfirmationNeededError(BudgetError):
    """Somebody has to agree to the price first; `order` is what was priced, to be bought on a yes."""

    code = "confirmation_needed"

    def __init__(self, what: str, order: Priced) -> None:
        known = order.most_usd is not None
        agree = "max_cost_usd at least that price" if known else "accept_unknown_price"
        standing = "" if known else ", name a provider with a published price, or set KLING_ACCEPT_UNKNOWN_PRICE=1"
        super().__init__(
            what,
            next_step=f"Ask the user, then call again with {agree}{standing}",
            details={"usd": order.total.usd, "arithmetic": order.total.arithmetic},
        )
        self.order = order


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
    """`agreed` for one order: what its arguments say of money counts."""
    plan, arguments = draft.plan, draft.plan.arguments
    return agreed(
        draft,
        settings,
        max_cost_usd=plan.max_cost_usd,
        # A limit that words name may be a sum in the scene, and an earlier order's is no yes to this one.
        said=arguments.agreed_usd is not None,
        accept_unknown_price=bool(arguments.accept_unknown_price),
        confirmed=confirmed,
        beforehand=beforehand,
        ask_above_usd=ask_above_usd,
    )


def agreed(
    order: Priced,
    settings: Settings,
    *,
    max_cost_usd: Decimal | None = None,
    said: bool = False,
    accept_unknown_price: bool = False,
    confirmed: bool = False,
    beforehand: bool = False,
    ask_above_usd: Decimal | None = None,
) -> bool:
    """Whether somebody agreed to the price of it all; a refusal where somebody has to and nobody did. Nothing was sent.

    The one rule of consent, for every door. `said`: the limit was named in this very call, and agrees to what is
    within it. `confirmed`: a person who was shown this price said yes. `beforehand`: yes to any price that is
    published. `ask_above_usd`: the door's limit for whoever set none.
    """
    most, price = order.most_usd, order.total.arithmetic
    if max_cost_usd is not None:
        _within_limit(max_cost_usd, most, price)
    if order.simulated or confirmed:
        return confirmed
    if most is None:
        if accept_unknown_price or settings.accept_unknown_price:
            return True
        dollars = "" if order.total.amount is None else " in dollars"
        raise ConfirmationNeededError(f"The price{dollars} is not known: {price.removeprefix('unknown: ')}", order)
    if (above := settings.confirm_above_usd) is None:
        above = ask_above_usd
    if not beforehand and not said and above is not None and most > above:
        raise ConfirmationNeededError(f"This costs {price}; the user wants to be asked above ${above}", order)
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


def own_files(arguments: VideoArguments | VideoRequest, owner: str) -> None:
    """Somebody who came over the network with a token names no files of this machine, to read or to write: neither as
    arguments nor in words.
    """
    if not owner:
        return
    from mcp_server.domain.task import names_task
    from mcp_server.providers.media_inputs import kind_of

    places = (
        arguments.image,
        arguments.end_image,
        arguments.video,
        arguments.audio_file,
        *(arguments.references or ()),
    )
    files = [place for place in places if place is not None and kind_of(place) == "file"]
    # A task of one's own is looked up as such; what its id stands for was never theirs to name.
    local = [place for place in files if place == arguments.audio_file or not names_task(place)]
    if local or getattr(arguments, "output_dir", None) is not None:
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
