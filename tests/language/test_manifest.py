"""The two manifests: their shape, and that nothing in them is there for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from support.labelled import labels, read

from mcp_server import catalog, places
from mcp_server.domain.vocabulary import Mode, Tier
from mcp_server.language import roles as role
from mcp_server.language.lexicon import Lexicon, Manifests

MANIFESTS = Manifests.of(places.skill())
TRIGGERS, GRAMMAR = MANIFESTS
TABLE = Lexicon(MANIFESTS, catalog.load())
SCENE = "a lighthouse"


def phrases(groups: dict[str, list[str]]) -> list[str]:
    """Phrases of every language."""
    return [phrase for found in groups.values() for phrase in found]


def words(*kinds: str) -> list[str]:
    """Whole lists of the grammar, in every language, each word once."""
    return list(dict.fromkeys(word for kind in kinds for word in MANIFESTS.words(kind)))


def parts(kind: str) -> list[tuple[str, str]]:
    """The words of a list that has parts, each with its part."""
    return list(dict.fromkeys((part, word) for part, found in MANIFESTS.parts(kind) for word in found))


def by_language(*kinds: str) -> list[tuple[str, str]]:
    """The words of these lists, each with its language."""
    return [(language, word) for kind in kinds for language, block in GRAMMAR.items() for word in block.get(kind, [])]


def spaced(word: str) -> str:
    """“of ”, but “d'”."""
    return word if word.endswith("'") else f"{word} "


def wishes() -> Iterator[Any]:
    for group in TRIGGERS["wishes"]:
        for phrase in phrases(group["phrases"]):
            yield pytest.param(phrase, group["sets"], id=phrase)


@pytest.mark.parametrize("name", ["triggers.json", "grammar.json"])
def test_a_manifest_satisfies_its_schema(name: str) -> None:
    schema = json.loads((places.schemas() / name).read_text(encoding="utf-8"))
    manifest = json.loads((places.skill() / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator: Any = Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(manifest)] == []


def test_the_heads_are_what_the_skill_announces() -> None:
    front = places.skill_page().read_text(encoding="utf-8").split("---")[1].lower()
    description = next(line for line in front.splitlines() if line.startswith("description:"))
    assert [head for head in TRIGGERS["heads"] if head not in description] == []
    assert [head for head in TRIGGERS["heads"] if read(head).none] == []


@pytest.mark.parametrize(("phrase", "sets"), list(wishes()))
def test_a_phrase_beside_the_name_asks_for_what_it_should(phrase: str, sets: dict[str, Any]) -> None:
    found = read(f"kling {phrase}: {SCENE}")
    assert {field: getattr(found, field) for field in sets} == sets
    assert found.contradictions == ()
    assert found.prompt == SCENE
    assert {match.field for match in found.matched} >= set(sets)


def test_no_phrase_asks_for_two_things_that_contradict_each_other() -> None:
    said: dict[tuple[str, ...], dict[str, Any]] = {}
    for group in TRIGGERS["wishes"]:
        for phrase in phrases(group["phrases"]):
            known = said.setdefault(tuple(TABLE.tokeniser.phrase(phrase)[0]), group["sets"])
            assert known == group["sets"], phrase


def test_no_phrase_is_read_as_an_article_of_the_scene_and_a_wish_at_once() -> None:
    scenery = words("article", "link")
    assert [phrase for phrase in scenery if (entry := TABLE.entry(phrase)) and entry.roles & role.WISH] == []


def test_every_value_can_be_wished_for() -> None:
    known = catalog.load()
    reached = {pair for group in (*TRIGGERS["wishes"], *TRIGGERS["pairs"]) for pair in group["sets"].items()}
    assert {value for field, value in reached if field == "tier"} == set(get_args(Tier))
    assert {value for field, value in reached if field == "mode"} == set(get_args(Mode))
    assert {value for field, value in reached if field == "prefer"} == {"cheapest", "best"}
    assert {("audio", True), ("audio", False), ("off_peak", True)} <= reached
    for provider in known.providers:
        assert read(f"kling via {provider}: {SCENE}").provider == provider
    for model in known.models:
        assert read(f"{model}: {SCENE}").model == model
    for offer in known.offers:
        for ratio in offer.aspect_ratios:
            if ":" in ratio:
                assert read(f"kling {ratio}: {SCENE}").aspect_ratio == ratio
        for seconds in offer.durations:
            assert read(f"kling {seconds} seconds: {SCENE}").duration == seconds


@pytest.mark.parametrize("alias", [a for model in catalog.load().models.values() for a in (*model.aliases, model.id)])
def test_every_name_of_a_model_is_that_model_or_the_mode_it_is_named_after(alias: str) -> None:
    found = read(f"{alias}: {SCENE}")
    model = TABLE.names.model(alias)
    assert model is not None
    mode_only = (
        found.model is None
        and found.mode is not None
        and found.mode.replace("-", "") in alias.replace("-", "").replace(" ", "") + "avatar"
    )
    assert found.model == dict(model.sets)["model"] or mode_only


def vendor_ids() -> Iterator[Any]:
    for offer in catalog.load().offers:
        # In one order: workers of one run must collect the same.
        for vendor_id in sorted({offer.vendor_model, offer.vendor_model_audio} - {""}):
            yield pytest.param(vendor_id, offer, id=f"{vendor_id} {offer.tier} {offer.mode}")


@pytest.mark.parametrize(("vendor_id", "offer"), list(vendor_ids()))
def test_every_id_of_a_vendor_leads_to_what_it_stands_for(vendor_id: str, offer: Any) -> None:
    found = read(f"{vendor_id}: {SCENE}")
    assert found.none == ""
    assert found.model == offer.model
    assert found.prompt == SCENE
    assert found.provider in (None, offer.provider)
    sharing = [other for other in catalog.load().offers if vendor_id in (other.vendor_model, other.vendor_model_audio)]
    if len({other.tier for other in sharing}) == 1:
        assert found.tier == offer.tier
    if len({other.mode for other in sharing}) == 1:
        assert found.mode == offer.mode


def test_ids_are_not_typed_again_in_the_manifest() -> None:
    own = {name: part for name, part in TRIGGERS.items() if name != "generated"}
    text = json.dumps([own, GRAMMAR], ensure_ascii=False).lower()
    ids = {offer.vendor_model for offer in catalog.load().offers if offer.vendor_model.count("-") > 1}
    assert ids
    assert [vendor_id for vendor_id in ids if f'"{vendor_id.lower()}"' in text] == []


def pairs() -> Iterator[Any]:
    for group in TRIGGERS["pairs"]:
        media = TRIGGERS["media"].get(group.get("of_media"), {})
        for language, verbs in group["verbs"].items():
            objects = [*media.get(language, ()), *group.get("objects", {}).get(language, ())]
            if group.get("of_clips"):
                objects = [f"{GRAMMAR[language]['owned'][0]} {GRAMMAR[language]['noun'][0]}", *objects]
            end = " into a video" if group.get("into_clip") else ""
            owned = f"{GRAMMAR[language]['owned'][0]} " if group.get("of_owned") else ""
            for verb, thing in [*((verb, objects[0]) for verb in verbs), *((verbs[0], thing) for thing in objects)]:
                yield pytest.param(verb, f"{owned}{thing}{end}", group["sets"], id=f"{verb} … {thing}")


@pytest.mark.parametrize(("verb", "thing", "sets"), list(pairs()))
def test_a_verb_and_its_object_ask_together(verb: str, thing: str, sets: dict[str, Any]) -> None:
    either = [read(f"kling {verb} {thing}"), read(f"kling {thing} {verb}")]
    assert any({field: getattr(found, field) for field in sets} == sets for found in either)


OF_CLIPS = [
    pytest.param(group, language, owned, noun, id=f"{group['sets']['mode']} … {owned} {noun}")
    for group in TRIGGERS["pairs"]
    if group.get("of_clips")
    for language, owned in by_language("owned")
    # "edite a …": "a" is also what any clip is called by.
    if owned not in words("indefinite")
    for noun in GRAMMAR[language].get("noun", [])[:1]
]


@pytest.mark.parametrize(("group", "language", "owned", "noun"), OF_CLIPS)
def test_a_clip_that_is_there_already_is_an_object(group: Any, language: str, owned: str, noun: str) -> None:
    assert read(f"kling {group['verbs'][language][0]} {owned} {noun}").mode == group["sets"]["mode"]


def test_what_becomes_no_clip_is_no_object() -> None:
    assert read("kling pro: they turn a photo into a paper plane").mode is None
    assert read("turn this photo into a painting").none


@pytest.mark.parametrize(
    ("phrase", "note"), [(p, group["note"]) for group in TRIGGERS["unclear"] for p in phrases(group["phrases"])]
)
def test_words_that_can_mean_several_things_set_nothing_and_are_told(phrase: str, note: str) -> None:
    found = read(f"kling pro {phrase}: {SCENE}")
    assert labels(found) == {"tier": "pro", "prompt": SCENE}
    assert found.notes == (f"“{phrase}”: {note}",)


@pytest.mark.parametrize("word", words("counted"))
def test_several_clips_are_told_to_be_several_orders(word: str) -> None:
    found = read(f"kling pro, 3 {word}: {SCENE}")
    assert labels(found) == {"tier": "pro", "prompt": SCENE}
    assert found.notes and "the words ask for 3: `count` buys" in found.notes[0]


@pytest.mark.parametrize("word", words("limit"))
def test_an_amount_with_a_limit_is_the_most_that_may_be_spent(word: str) -> None:
    either = [read(f"kling {said}: {SCENE}") for said in (f"{word} $2.50", f"$2.50 {word}")]
    assert [found.max_cost_usd for found in either if found.prompt == SCENE] == [Decimal("2.50")] * 2


@pytest.mark.parametrize("word", [w for worth, w in parts("money") if worth == "100"])
def test_dollars_have_several_names(word: str) -> None:
    assert read(f"kling under 2 {word}: {SCENE}").max_cost_usd == 2


@pytest.mark.parametrize("word", [w for worth, w in parts("money") if worth == "1"])
def test_cents_are_hundredths(word: str) -> None:
    assert read(f"kling under 75 {word}: {SCENE}").max_cost_usd == Decimal("0.75")


@pytest.mark.parametrize("word", [w for worth, w in parts("money") if worth == "0"])
def test_a_limit_in_other_money_is_refused_until_it_is_said_in_dollars(word: str) -> None:
    found = read(f"kling under 2 {word}: {SCENE}")
    assert (found.max_cost_usd, found.unsettled, found.prompt) == (None, ("max_cost_usd",), SCENE)


@pytest.mark.parametrize("phrase", words("kept"))
def test_what_no_field_can_order_stays_in_the_prompt_and_hides_no_wish(phrase: str) -> None:
    found = read(f"kling pro {phrase} 10s: {SCENE}")
    assert labels(found) == {"tier": "pro", "duration": 10, "prompt": f"{phrase}, {SCENE}"}


@pytest.mark.parametrize("word", words("negation_within"))
def test_a_word_that_negates_elsewhere_leads_to_the_name(word: str) -> None:
    assert read(f"vídeo {word} kling: {SCENE}").prompt == SCENE
    assert read(f"a video, {word} kling please").none


@pytest.mark.parametrize("word", words("join"))
def test_a_word_that_only_joined_goes_with_the_order(word: str) -> None:
    assert read(f"kling with sound {word} foxes").prompt == "foxes"


@pytest.mark.parametrize("word", words("choice"))
def test_a_choice_is_left_to_whoever_asked(word: str) -> None:
    found = read(f"kling 9:16 {word} 1:1: {SCENE}")
    assert (found.aspect_ratio, found.unsettled, found.prompt) == (None, ("aspect_ratio",), SCENE)


@pytest.mark.parametrize(
    ("language", "word"),
    by_language("medium"),
)
def test_what_is_attached_is_no_scene(language: str, word: str) -> None:
    owned = GRAMMAR[language]["owned"][0]
    found = read(f"kling motion control to {owned} {word}")
    assert (found.mode, found.prompt) == ("motion-control", "")


def test_a_person_somewhere_else_is_the_scene() -> None:
    assert read("kling motion control: the girl in the rain").prompt == "the girl in the rain"
    assert read("kling image to video of the girl dancing").prompt == "the girl dancing"


@pytest.mark.parametrize(
    "phrase", [p for group in TRIGGERS["wishes"] if group.get("no_opposite") for p in phrases(group["phrases"])]
)
def test_no_kind_of_sound_is_not_silence(phrase: str) -> None:
    assert read(f"kling, not {phrase}: {SCENE}").audio is None


CHOSEN = {
    "tier": ("pro", "pro"),
    "mode": ("avatar", "avatar"),
    "model": ("kling o3", "kling-o3"),
    "provider": ("runcomfy", "runcomfy"),
    "aspect_ratio": ("9:16", "9:16"),
    "resolution": ("720p", "720p"),
}
LABELS = {
    "duration": ("7", 7),
    "audio": ("off", False),
    "off_peak": ("on", True),
    "prompt": (SCENE, SCENE),
    "negative_prompt": ("blur", "blur"),
}


@pytest.mark.parametrize(("kind", "label"), parts("labels"))
def test_a_label_takes_its_value(kind: str, label: str) -> None:
    for field, (said, meant) in ({kind: LABELS[kind]} if kind in LABELS else CHOSEN).items():
        assert getattr(read(f"kling\n{label}: {said}\n"), field) == meant


@pytest.mark.parametrize(
    ("length", "seconds"), [pair for _, found in GRAMMAR.items() for pair in found.get("lengths", {}).items()]
)
def test_a_length_in_words_is_one(length: str, seconds: int) -> None:
    assert read(f"kling, {length}: {SCENE}").duration == seconds


@pytest.mark.parametrize("negation", words("negation_before"))
def test_a_negation_rules_out_what_follows(negation: str) -> None:
    assert read(f"kling, {negation} 4k: {SCENE}").not_tiers == ("4k",)


@pytest.mark.parametrize("negation", words("negation_after"))
def test_a_negation_rules_out_what_came_before(negation: str) -> None:
    found = read(f"kling, 4k {negation}, pro: {SCENE}")
    assert (found.not_tiers, found.tier) == (("4k",), "pro")


@pytest.mark.parametrize("join", words("choice"))
def test_a_negation_is_carried_on(join: str) -> None:
    assert set(read(f"kling, not 4k {join} pro: {SCENE}").not_tiers) == {"4k", "pro"}


@pytest.mark.parametrize("correction", words("correction"))
def test_a_correction_replaces_what_was_said(correction: str) -> None:
    found = read(f"kling 4k {correction} pro: {SCENE}")
    assert (found.tier, found.contradictions) == ("pro", ())


SECONDS = {
    "en": " seconds",
    "zh": "秒",
    "ko": "초",
    "es": " segundos",
    "fr": " secondes",
    "de": " Sekunden",
    "pt": " segundos",
}


@pytest.mark.parametrize(
    ("language", "word", "number"),
    [(language, word, n) for language, block in GRAMMAR.items() for word, n in block.get("numbers", {}).items()],
)
def test_a_number_in_words_counts_seconds(language: str, word: str, number: int) -> None:
    assert read(f"kling {word}{SECONDS[language]}: {SCENE}").duration == number


@pytest.mark.parametrize(("unit", "seconds"), [(unit, int(seconds)) for seconds, unit in parts("units")])
def test_a_unit_is_worth_its_seconds(unit: str, seconds: int) -> None:
    assert read(f"kling 2 {unit}: {SCENE}").duration == 2 * seconds


@pytest.mark.parametrize("word", words("shot"))
def test_numbered_scenes_become_shots(word: str) -> None:
    found = read(f"kling {word} 1: a cat. {word} 2: a dog.")
    assert [shot.prompt for shot in found.shots] == ["a cat.", "a dog."]


@pytest.mark.parametrize("name", phrases(TRIGGERS["name"]))
def test_every_name_of_kling_takes_an_order(name: str) -> None:
    assert (read(f"{name} 4k: {SCENE}").tier, read(f"{name} 4k: {SCENE}").prompt) == ("4k", SCENE)


@pytest.mark.parametrize(("on", "word"), parts("switch"))
def test_switches_switch(on: str, word: str) -> None:
    assert read(f"kling\naudio: {word}\n").audio is (on == "1")


@pytest.mark.parametrize("word", words("near_miss"))
def test_what_only_looks_like_kling_orders_nothing(word: str) -> None:
    assert read(f"{word}, 4k, vertical").none


@pytest.mark.parametrize("word", sorted(set(words("not_typo")) - set(words("heard_as"))))
def test_a_real_word_is_no_typo(word: str) -> None:
    assert read(f"{word} 4k").none


@pytest.mark.parametrize("word", words("heard_as"))
def test_what_dictation_writes_is_the_name_only_right_before_a_tier(word: str) -> None:
    assert read(f"make a video with {word} pro of {SCENE}").tier == "pro"
    assert read(f"{word} pro: {SCENE}").prompt == SCENE
    assert read(f"the leaves {word} to {SCENE}").none
    assert read(f"{word} film, 10 seconds").none


@pytest.mark.parametrize("word", words("name_not_before") + [f"{title} kling" for title in words("name_not_after")])
def test_a_name_beside_such_a_word_is_another_name(word: str) -> None:
    text = word if word.endswith("kling") else f"kling {word}"
    assert read(text).none


REFUSED = {
    "rival": "{}: a neon city, 5s",
    "question": "{} kling 4k?",
    "topic": "kling 4k {}",
    "chore": "{} kling",
    "state": "kling {} 好",
    "picture": "make a {} of a dog, 16:9",
}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind in REFUSED for word in words(kind)])
def test_what_is_no_order_is_refused(kind: str, word: str) -> None:
    assert read(REFUSED[kind].format(word)).none


@pytest.mark.parametrize(
    ("kind", "word"),
    [(kind, word) for kind in ("verb", "create_verb", "filler", "please") for word in words(kind)],
)
def test_words_of_ordering_leave_no_trace(kind: str, word: str) -> None:
    found = read(f"kling {spaced(word)}4k: {SCENE}")
    assert (found.tier, found.prompt) == ("4k", SCENE)


@pytest.mark.parametrize("word", words("noun", "link"))
def test_a_clip_of_something_is_that_something(word: str) -> None:
    noun = word in words("noun")
    text = f"kling 4k {word} of {SCENE}" if noun else f"kling 4k video {spaced(word)}{SCENE}"
    assert read(text).prompt == SCENE


@pytest.mark.parametrize("word", words("genre"))
def test_a_kind_of_clip_stays_in_the_prompt(word: str) -> None:
    assert read(f"three-shot kling {word} for coffee").prompt == f"three-shot {word} for coffee"


@pytest.mark.parametrize("word", words("noun_not_before"))
def test_a_noun_in_a_compound_stays_in_the_prompt(word: str) -> None:
    assert read(f"kling pro video {word} at night").prompt == f"video {word} at night"


@pytest.mark.parametrize("particle", [p for p in words("particle") if p != "'s"])
def test_an_ending_goes_with_its_word(particle: str) -> None:
    assert read(f"クリング{particle}4K：{SCENE}").prompt == SCENE


@pytest.mark.parametrize("join", words("ratio_join"))
def test_two_numbers_joined_are_a_shape(join: str) -> None:
    assert read(f"kling 16 {join} 9: {SCENE}").aspect_ratio == "16:9"


@pytest.mark.parametrize("join", words("range_join"))
def test_a_range_is_no_length(join: str) -> None:
    found = read(f"kling 5 {join} 10 seconds: {SCENE}")
    assert (found.duration, found.unsettled) == (None, ("duration",))


@pytest.mark.parametrize("word", words("blocked_before"))
def test_a_measure_after_such_a_word_belongs_to_the_scene(word: str) -> None:
    for measure in ("10 seconds", "9:16", "no sound"):
        assert read(f"kling: somebody {word} {measure}").prompt == f"somebody {word} {measure}"


@pytest.mark.parametrize("word", words("closing"))
def test_a_maker_or_a_tier_may_be_named_at_the_end(word: str) -> None:
    for field, maker in (("provider", "runcomfy"), ("model", "kling o3"), ("tier", "4k")):
        found = read(f"kling: neon rain {word} {maker}")
        assert getattr(found, field) is not None
        assert found.prompt == "neon rain"


@pytest.mark.parametrize("word", words("purpose"))
def test_a_purpose_is_no_thing(word: str) -> None:
    assert read(f"kling {word} a hero film: {SCENE}").tier == "4k"


@pytest.mark.parametrize(
    ("phrase", "word"),
    [(phrases(group["phrases"])[0], word) for group in TRIGGERS["wishes"] for word in group.get("not_before", ())],
)
def test_a_word_after_a_phrase_can_make_it_part_of_the_scene(phrase: str, word: str) -> None:
    assert f"{phrase} {word}" in read(f"kling {phrase} {word} at night").prompt


@pytest.mark.parametrize("article", words("article"))
def test_an_article_begins_a_thing(article: str) -> None:
    assert read(f"kling: {article} square").aspect_ratio is None
