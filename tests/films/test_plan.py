"""The plan: every shot routed, checked and priced like an order, with one look and one exact total."""

from __future__ import annotations

import struct
import zlib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.services import settings

from mcp_server import catalog
from mcp_server.errors import KlingError, NoOfferError, RequestError
from mcp_server.films import board
from mcp_server.films.plan import FilmPlan, FilmPlanner
from mcp_server.ordering.plan import Planner

DAY = date(2026, 11, 29)
FACTS = catalog.load()


def png(side: int = 400) -> bytes:
    """A gray picture, as large as every vendor asks for."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes([128]) * side) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PICTURE = png()


def shots(*given: Any, **more: Any) -> dict[str, Any]:
    found = [
        {"id": f"s{number}", "prompt": "a paper boat", "duration": 5}
        | (one if isinstance(one, dict) else {"begin": one})
        for number, one in enumerate(given, 1)
    ]
    return {"title": "Boat", "shots": found, **more}


def planned(tmp_path: Path, given: dict[str, Any], *, draft: bool = False, **keys: str) -> FilmPlan:
    planner = FilmPlanner(Planner(settings(tmp_path, **keys), FACTS))
    return planner.plan(board.from_arguments(given), day=DAY, draft=draft)


def test_the_total_is_the_exact_sum_of_the_shots(tmp_path: Path) -> None:
    plan = planned(
        tmp_path, shots("cut", "cut", {"duration": 8}, look={"tier": "pro", "audio": True}), RUNCOMFY_TOKEN="t"
    )

    assert [shot.most_usd for shot in plan.shots] == [Decimal("0.84"), Decimal("0.84"), Decimal("1.344")]
    assert plan.quote.usd == "3.024" and plan.most_usd == Decimal("3.024")
    assert plan.quote.arithmetic == "2 × $0.84 + $1.344 = $3.024"
    assert not plan.simulated


def test_a_price_nobody_publishes_makes_the_total_unknown_and_names_the_shot(tmp_path: Path) -> None:
    plan = planned(tmp_path, shots("cut", "cut", look={"provider": "uniall"}), UNIALL_API_KEY="t")

    assert plan.most_usd is None and plan.quote.usd is None
    assert "nobody publishes the price of s1, s2" in plan.quote.arithmetic


def test_a_shot_that_continues_goes_to_a_vendor_that_takes_a_local_picture(tmp_path: Path) -> None:
    # kling3api takes addresses alone, and here it is the only other one with a key.
    plan = planned(tmp_path, shots("cut", "continue"), KLING3API_API_KEY="t", RUNAPI_API_KEY="t")

    taking = {name for name, facts in FACTS.providers.items() if {"data", "upload", "bare"} & {*facts.media_inputs}}
    assert "kling3api" not in taking
    assert plan.shots[1].provider == "runapi"
    assert plan.shots[1].mode == "image-to-video"
    assert "image" not in plan.shots[1].arguments

    with pytest.raises(NoOfferError, match="shot 's2'"):
        planned(tmp_path, shots("cut", "continue", look={"provider": "kling3api"}), KLING3API_API_KEY="t")


def test_one_look_holds_for_all_shots(tmp_path: Path) -> None:
    plan = planned(tmp_path, shots("cut", "continue", {"prompt": "rain"}), RUNCOMFY_TOKEN="t", RUNAPI_API_KEY="t")

    assert len({(shot.model, shot.tier, shot.audio) for shot in plan.shots}) == 1


def test_cast_pictures_become_references_where_the_offer_has_them_else_a_warning(tmp_path: Path) -> None:
    (tmp_path / "ann.png").write_bytes(PICTURE)
    cast = {"ann": {"pictures": [str(tmp_path / "ann.png")], "note": "a woman in red"}}
    one = shots({"cast": ["ann"]}, cast=cast)

    omni = planned(tmp_path, one | {"look": {"model": "kling-o3"}}, FAL_KEY="t").shots[0]
    plain = planned(tmp_path, one | {"look": {"model": "kling-3.0"}}, RUNCOMFY_TOKEN="t").shots[0]

    assert omni.mode == "reference-to-video" and omni.arguments["references"] == cast["ann"]["pictures"]
    assert not any("not used" in warning for warning in omni.warnings)
    assert "references" not in plain.arguments
    assert any("pictures of ann are not used" in warning for warning in plain.warnings)
    assert all("a woman in red" in shot.arguments["prompt"] for shot in (omni, plain))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (shots({"duration": 60}), "shot 's1'.*60"),
        (shots("cut", {"duration": 2, "begin": "cut"}), "shot 's2'.*2 "),
        (shots("cut", look={"provider": "acme"}), "acme"),
        (shots("cut", look={"model": "kling-99"}), "kling-99"),
        (shots({"image": "/nowhere/first.png"}), "shot 's1'.*no file /nowhere/first.png"),
        (
            shots({"cast": ["ann"]}, cast={"ann": {"pictures": ["/nowhere/ann.png"]}}, look={"model": "kling-o3"}),
            "no file",
        ),
    ],
)
def test_what_no_vendor_sells_or_nobody_finds_is_refused_and_names_the_shot(
    tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(RequestError, match=says) as refused:
        planned(tmp_path, given, RUNCOMFY_TOKEN="t", FAL_KEY="t")

    assert refused.value.money == "not_spent"


def test_a_vendor_without_a_key_is_a_matter_of_signing_in(tmp_path: Path) -> None:
    with pytest.raises(KlingError) as refused:
        planned(tmp_path, shots("cut", look={"provider": "fal"}), RUNCOMFY_TOKEN="t")

    assert refused.value.code == "not_signed_in"


def test_words_in_a_scene_that_read_like_an_order_are_named(tmp_path: Path) -> None:
    plan = planned(
        tmp_path, shots({"prompt": "A boat, filmed vertical in 4k"}, look={"tier": "pro"}), RUNCOMFY_TOKEN="t"
    )

    assert plan.shots[0].tier == "pro"
    assert any("4k" in warning for warning in plan.shots[0].warnings)


def test_a_draft_is_the_cheapest_silent_version_with_the_final_price_beside_it(tmp_path: Path) -> None:
    given = shots("cut", "continue", look={"tier": "pro", "audio": True})
    final = planned(tmp_path, given, RUNCOMFY_TOKEN="t")
    draft = planned(tmp_path, given, draft=True, RUNCOMFY_TOKEN="t")

    assert draft.final_quote == final.quote
    assert draft.most_usd is not None and final.most_usd is not None and draft.most_usd < final.most_usd
    assert all(shot.tier == "standard" and shot.audio is False for shot in draft.shots)
    assert {shot.revision for shot in draft.shots}.isdisjoint(shot.revision for shot in final.shots)


def test_only_what_decides_the_clip_makes_a_shot_another(tmp_path: Path) -> None:
    def revision(**change: Any) -> str:
        return planned(tmp_path, shots("cut", {**change})).shots[1].revision

    same = revision()
    assert revision(begin="dissolve") == same == revision(id="other")
    assert same not in {revision(prompt="rain"), revision(duration=8), revision(begin="continue")}


def test_a_picture_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    picture = tmp_path / "first.png"
    picture.write_bytes(PICTURE)
    given = shots({"image": str(picture)})
    before = planned(tmp_path, given).shots[0].revision
    picture.rename(tmp_path / "moved.png")
    moved = planned(tmp_path, shots({"image": str(tmp_path / "moved.png")})).shots[0].revision
    picture.write_bytes(PICTURE + b"\0")

    assert moved == before != planned(tmp_path, given).shots[0].revision


def test_a_long_chain_is_worth_a_word(tmp_path: Path) -> None:
    plan = planned(tmp_path, shots("cut", *["continue"] * 4))

    assert any("4 shots in a row continue" in warning for warning in plan.warnings)
    assert not any("in a row" in warning for warning in planned(tmp_path, shots("cut", *["continue"] * 3)).warnings)


def test_what_is_bought_later_is_what_was_planned(tmp_path: Path) -> None:
    from mcp_server.domain.arguments import VideoArguments

    given = shots("cut", "continue", {"duration": 8}, look={"aspect_ratio": "9:16", "audio": True})
    for keys in ({"RUNCOMFY_TOKEN": "t"}, {"FAL_KEY": "t"}, {"RUNAPI_API_KEY": "t"}, {"KLINGAI_API_KEY": "t"}, {}):
        planner = Planner(settings(tmp_path, **keys), FACTS)
        for shot in FilmPlanner(planner).plan(board.from_arguments(given), day=DAY).shots:
            again = planner.plan(
                VideoArguments.model_validate(
                    {**shot.arguments, **({"image": "last-frame.png"} if shot.continues else {})}
                ),
                day=DAY,
            )
            assert (again.offer.id, again.most_usd) == (shot.offer, shot.most_usd)
