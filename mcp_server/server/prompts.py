"""Prompts a person can pick: they turn an idea into words that Kling follows.

The advice is what the vendors' pages say works (docs 004, "prompting"): motion and camera first, numbered shots,
what must stay, sounds in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from mcp_server.errors import ArgumentError
from mcp_server.server.caller import owner

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from mcp_server.answers.shapes import TaskAnswer
    from mcp_server.server.lazy_service import LazyService

ADVICE = """\
- Begin with framing and camera movement: "wide shot, slow push-in", "tracking shot, low angle", "handheld follow".
- One clear subject, one action per shot, in the present tense; concrete light, place and time of day.
- Name sounds in words: voices (language, tone), ambience, or "no dialogue".
- With a first image, say what stays as it is ("keep face, pose and clothing; only the camera moves") and describe the
  motion, not the picture.
- cfg_scale 0.7 to 0.9 follows the words more strictly, 0.3 to 0.4 moves more freely."""


SHORTEST_S, LONGEST_S = 3, 15
"""Lengths of one clip with several shots."""


def add_prompts(server: MCPServer[Any], services: LazyService) -> None:

    @server.prompt(
        title="Storyboard for one Kling clip",
        description="Write a numbered shot list for a Kling video of 3 to 15 seconds, ready for generate_video.",
    )
    def storyboard(  # pyright: ignore[reportUnusedFunction]
        idea: Annotated[str, Field(description="What the clip is about")],
        # An argument of a prompt is text, whatever it counts.
        seconds: Annotated[str, Field(description="Length of the whole clip; 3 to 15")] = "10",
        style: Annotated[str, Field(description="Look, mood, genre")] = "",
    ) -> str:
        length = seconds.strip().lower().removesuffix("s").strip()
        if not length.isascii() or not length.isdecimal() or not SHORTEST_S <= int(length[:4]) <= LONGEST_S:
            raise ArgumentError(
                f"`seconds` is {seconds[:40]!r}: one Kling clip is {SHORTEST_S} to {LONGEST_S} seconds long",
                next_step="Give a whole number of seconds; what is longer is a film: prompt film_board",
            )
        look = f" The look: {style}." if style else ""
        return (
            f"Write a storyboard for one Kling clip of {length} seconds: {idea}.{look}\n\n"
            "Two to five shots, numbered, each with its seconds; together exactly the whole length, at least 1 second "
            "each. People, clothes and props stay the same from shot to shot: describe them fully in the first shot "
            f"and name them the same way afterwards.\n{ADVICE}\n\n"
            'Give the shots as JSON for generate_video, `shots: [{"prompt": "…", "duration": 3}, …]`, and one sentence '
            "on why they follow each other. Then call estimate_cost with these shots and show the price; order only "
            "when I agree."
        )

    @server.prompt(
        title="Board for a film of Kling shots",
        description="Write the board of a film of several Kling shots, ready for make_film.",
    )
    def film_board(  # pyright: ignore[reportUnusedFunction]
        idea: Annotated[str, Field(description="What the film is about")],
        seconds: Annotated[str, Field(description="Length of the whole film")] = "40",
        style: Annotated[str, Field(description="Look, mood, genre")] = "",
    ) -> str:
        length = seconds.strip().lower().removesuffix("s").strip()
        if not length.isascii() or not length.isdecimal() or int(length[:6]) < SHORTEST_S:
            raise ArgumentError(
                f"`seconds` is {seconds[:40]!r}: a film is {SHORTEST_S} seconds long or longer",
                next_step="Give a whole number of seconds",
            )
        look = f" The look: {style}." if style else ""
        return (
            f"Write the board of a film of about {length} seconds, made of Kling shots: {idea}.{look}\n\n"
            "Each shot is a clip of 3 to 15 seconds with one action, an `id` of one word and a prompt that says the "
            'framing first. `begin` is "cut", "dissolve", or "continue" where it goes on from the last frame of the '
            "shot before (not more than three in a row). What all shots share stands once in `look` (tier, "
            "aspect_ratio, audio, style); who must look the same stands in `cast` with pictures, where there are any.\n"
            f"{ADVICE}\n\n"
            'Give it as JSON, `{"title": "…", "look": {…}, "shots": [{"id": "…", "prompt": "…", "duration": 5, '
            '"begin": "cut"}, …]}`. Then call make_film with it as `board`, which buys nothing, and show me the shots '
            "and the total; buy with max_cost_usd only when I agree."
        )

    @server.prompt(
        title="Improve a Kling prompt",
        description="Rewrite a prompt so that Kling follows it: camera first, one action, light, sound.",
    )
    def improve_prompt(  # pyright: ignore[reportUnusedFunction]
        prompt: Annotated[str, Field(description="The prompt as it is now")],
        mode: Annotated[str, Field(description="text-to-video, image-to-video, …")] = "text-to-video",
    ) -> str:
        return (
            f"Rewrite this Kling prompt for {mode} so that it is followed more closely:\n\n{prompt}\n\n{ADVICE}\n\n"
            "Keep what the author wants and invent no new subject. At most 120 words. Give the new prompt, then in one "
            "line what you changed. Do not order anything."
        )

    @server.prompt(
        title="Settle a lost Kling order",
        description="What to look for at the vendor when an order is uncertain, and how to close it.",
    )
    async def settle(  # pyright: ignore[reportUnusedFunction]
        task_id: Annotated[str, Field(description="The uncertain task")],
    ) -> str:
        service = await services.ready()
        (task,) = await service.get([task_id], owner=owner())
        facts = service.catalog.providers.get(task.plays or task.provider)
        return _what_to_look_for(task, facts.name if facts else task.provider, facts.docs if facts else "")


def _what_to_look_for(task: TaskAnswer, vendor: str, docs: str) -> str:
    if task.state != "uncertain":
        return f"Task {task.task_id} is {task.state}, so nothing about it has to be settled. Tell me so, and why."
    price = task.cost.estimated.arithmetic if task.cost and task.cost.estimated else "unknown"
    seen = (task.error or {}).get("why") or (task.error or {}).get("what") or "no answer came"
    return (
        f"The Kling order {task.task_id} is uncertain: it went to {vendor}, and nobody knows whether it was "
        f"bought ({seen}). Help me settle it. Do not order it again before it is settled.\n\n"
        f"Tell me to open the list of jobs in {vendor}'s dashboard ({docs}) and to look for one that is\n"
        f"- from {task.created_at} or within minutes after it,\n"
        f"- {task.model} ({task.tier}, {task.mode}), {_in_words(task.ordered)},\n"
        f'- with this prompt: "{task.prompt[:300]}",\n'
        f"- charged about: {price}.\n\n"
        "Then ask me which it is, and give me the one command for a terminal (an agent cannot settle, a person does):\n"
        f"- the job is there: `kling-video settle {task.task_id} --job ID`, with its id; the clip is fetched\n"
        f"- it was charged, and there is no clip: `kling-video settle {task.task_id} --bought`\n"
        f"- there is no such job: `kling-video settle {task.task_id} --not-bought`; only then may it be ordered again\n"
    )


def _in_words(ordered: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in ordered.items()) or "nothing else said"
