"""Prompts a person can pick: they turn an idea into words that Kling follows.

The advice is what the vendors' pages say works (docs 004, "prompting"): motion and camera first, numbered shots,
what must stay, sounds in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

ADVICE = """\
- Begin with framing and camera movement: "wide shot, slow push-in", "tracking shot, low angle", "handheld follow".
- One clear subject, one action per shot, in the present tense; concrete light, place and time of day.
- Name sounds in words: voices (language, tone), ambience, or "no dialogue".
- With a first image, say what stays as it is ("keep face, pose and clothing; only the camera moves") and describe the
  motion, not the picture.
- cfg_scale 0.7 to 0.9 follows the words more strictly, 0.3 to 0.4 moves more freely."""


def add_prompts(server: MCPServer[Any]) -> None:

    @server.prompt(
        title="Storyboard for one Kling clip",
        description="Write a numbered shot list for a Kling video of 3 to 15 seconds, ready for generate_video.",
    )
    def storyboard(  # pyright: ignore[reportUnusedFunction]
        idea: Annotated[str, Field(description="What the clip is about")],
        seconds: Annotated[str, Field(description="Length of the whole clip; 3 to 15")] = "10",
        style: Annotated[str, Field(description="Look, mood, genre")] = "",
    ) -> str:
        look = f" The look: {style}." if style else ""
        return (
            f"Write a storyboard for one Kling clip of {seconds} seconds: {idea}.{look}\n\n"
            "Two to five shots, numbered, each with its seconds; together exactly the whole length, at least 1 second "
            "each. People, clothes and props stay the same from shot to shot: describe them fully in the first shot "
            f"and name them the same way afterwards.\n{ADVICE}\n\n"
            'Give the shots as JSON for generate_video, `shots: [{"prompt": "…", "duration": 3}, …]`, and one sentence '
            "on why they follow each other. Then call estimate_cost with these shots and show the price; order only "
            "when I agree."
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
