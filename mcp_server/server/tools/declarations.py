"""What a client reads before it calls anything: the seven tools by name, title, words and hints.

Imports nothing heavy, so that a handshake can be answered from here and from `schemas/tools/` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NAME: Final = "kling-video"
TITLE: Final = "Kling video"
HOMEPAGE: Final = "https://github.com/kling-video/kling-video"
ICON: Final = f"{HOMEPAGE}/raw/main/mcp_server/server/icon.svg"
"""An address and no data: every 2026 response repeats it."""

PLAYER: Final = "ui://kling/player.html"

INSTRUCTIONS: Final = """\
Buys Kling videos (4K, text to video, image to video, …) from several vendors and saves them to disk.
1. Pass the user's own words as `request`; explicit arguments only for what the user said explicitly.
2. estimate_cost is free: show the price before anything the user did not ask for outright.
3. generate_video spends money and answers at once with a task_id. Keep it. Calling again to "check" buys twice.
4. get_task with wait_s 25 until `state` is succeeded, failed, cancelled or uncertain; do other work between calls; \
wait for a batch with task_ids. Then hand over video_path.
5. Several shots, or longer than one clip: make_film plans a board for free; with max_cost_usd it buys it.
6. `uncertain` = may have been charged: tell the user, do not order again unasked.
`simulated: true` means no vendor key is set: a free rehearsal, not a Kling clip. Say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One tool as it is announced."""

    name: str
    title: str
    description: str
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = True
    """Whether a vendor may be asked."""
    player: bool = False
    """Whether hosts that show apps show the player beside it."""


TOOLS: Final[tuple[Declared, ...]] = (
    Declared(
        name="generate_video",
        title="Generate a Kling video (costs money)",
        description=(
            "Order a Kling video: text to video, image to video, 4K, pro or standard, with sound, lip sync, avatar, "
            "video edit. Spends money. Takes the cheapest vendor that can do it all. Answers in seconds with a task_id "
            "(with count: tasks); the clip renders for minutes: follow it with get_task. Never repeat a call to check."
        ),
        player=True,
    ),
    Declared(
        name="get_task",
        title="Get Kling video task status",
        description=(
            "Task status of ordered Kling videos and films: state, progress, saved file (video_path), video_url, cost, "
            "error. Free. wait_s up to 25 waits for the end."
        ),
        read_only=True,
    ),
    Declared(
        name="estimate_cost",
        title="Estimate Kling video cost",
        description=(
            "Price of a Kling video before buying: the cost of the offer generate_video would take, why, and the next "
            "five (`all`: all) that can do it, cheapest first. Free. Same arguments."
        ),
        read_only=True,
        idempotent=True,
        open_world=False,
    ),
    Declared(
        name="list_models",
        title="List Kling models and prices",
        description=(
            "Which Kling video models, tiers (4K, pro, standard) and modes can be bought from whom, and which vendors "
            "have a key. Free. detail adds limits and prices per offer."
        ),
        read_only=True,
        idempotent=True,
        open_world=False,
    ),
    Declared(
        name="cancel_task",
        title="Cancel a Kling video task",
        description=(
            "Ask the vendor to cancel an ordered Kling video where it can, and say what happened to the money. "
            "stop_following only stops watching; the vendor goes on and bills."
        ),
        destructive=True,
        idempotent=True,
    ),
    Declared(
        name="list_tasks",
        title="List Kling video tasks",
        description=(
            "Find earlier Kling video tasks and films by words of the prompt, state or vendor, newest first. Free."
        ),
        read_only=True,
        idempotent=True,
        open_world=False,
    ),
    Declared(
        name="make_film",
        title="Make a film of Kling shots (costs money)",
        description=(
            "A film of several Kling video shots: planned and priced; with max_cost_usd bought, each shot once, and "
            "joined to one checked file. Answers at once with a film_id for get_task."
        ),
        player=True,
    ),
)
