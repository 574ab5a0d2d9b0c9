"""Reads the fact files, checks them and freezes them.

Models: `catalog/models.toml`. Per provider: `providers/<id>/provider.toml`, `offers.toml`, `prices.toml`, and for the
sandbox `exchanges.json`. Facts only: no provider code is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, cast, get_args

from mcp_server.catalog import fact_files
from mcp_server.domain.catalog import Catalog, Disagreement, Model, Offer, Price, PriceUnit, Provider, Rule
from mcp_server.domain.vocabulary import CHOICES, INPUTS, MODES, TIERS, Audio
from mcp_server.places import PACKAGE

REGISTRY: Final = ("runapi", "kling3api", "octopusx", "uniall", "runcomfy", "klingai", "fal", "replicate", "comfy")
"""The vendors, in the order that breaks ties between equal prices."""
_OFFER_FIELDS = frozenset(f.name for f in fields(Offer))
_RULE_FIELDS = frozenset(f.name for f in fields(Rule))
_PRICE_FIELDS = frozenset(f.name for f in fields(Price))
_PROVIDER_FIELDS = frozenset(f.name for f in fields(Provider))
_BY_FILES = frozenset({"id", "rehearsable"})
"""What a provider's files say by being there."""
_CONDITIONS = frozenset((*INPUTS, *CHOICES))
"""What a rule may ask about."""


class FactError(ValueError):
    """A fact file says something it may not say; the message names file and entry."""


@cache
def load(root: Path = PACKAGE) -> Catalog:
    """The whole catalog. `root` is the package folder, or a copy of it with other facts."""
    models = {model.id: model for model in _models(root / "catalog" / "models.toml")}
    folders = [root / "providers" / name for name in REGISTRY]
    folders += sorted(
        path.parent for path in (root / "providers").glob("*/provider.toml") if path.parent.name not in REGISTRY
    )
    providers: dict[str, Provider] = {}
    offers: list[Offer] = []
    prices: list[Price] = []
    for folder in folders:
        provider = _provider(folder)
        providers[provider.id] = provider
        offers += _offers(folder, provider, models)
        prices += _prices(folder, provider)
    _no_twins(offers)
    return Catalog(models, providers, tuple(offers), tuple(prices))


def _read(path: Path) -> dict[str, Any]:
    try:
        return fact_files.read(path)
    except (OSError, ValueError) as error:
        raise FactError(f"{path}: {error}") from error


def _models(path: Path) -> Iterable[Model]:
    for model_id, row in _read(path).items():
        with _entry(path, model_id):
            preference = cast("dict[str, int]", row.pop("preference", {}))
            _known(preference, MODES, "preference")
            _dated(row, "checked", *(name for name in ("ended",) if name in row))
            if ("ended" in row) is not bool(row.get("ended_source")) or ("ended" in row and preference):
                raise FactError("a model that ended has its source and no preference")
            yield Model(
                id=model_id,
                preference=cast("Any", preference),
                aliases=tuple(row.pop("aliases", ())),
                **row,
            )


def _provider(folder: Path) -> Provider:
    path = folder / "provider.toml"
    row = _read(path)
    with _entry(path, "provider"):
        _known(row, _PROVIDER_FIELDS - _BY_FILES, "field")
        row["id"] = folder.name
        protocol = folder.parents[1] / "sandbox" / "vendors" / f"{folder.name}.py"
        row["rehearsable"] = protocol.exists() or (folder / "exchanges.json").exists()
        _dated(row, "checked")
        for name in ("spoken", "key_pair", "media_inputs", "media_hosts", "open_price_options", "unknown"):
            row[name] = tuple(row.get(name, ()))
        for name in ("statuses", "faults", "http_faults"):
            row[name] = {str(key).lower(): value for key, value in row.get(name, {}).items()}
        row["field_names"] = {name: tuple(native) for name, native in row.get("field_names", {}).items()}
        if row["key_pair"] and len(row["key_pair"]) != len(("access", "secret")):
            raise FactError("key_pair names two variables, the access key's first")
        row["disagreements"] = tuple(Disagreement(**entry) for entry in row.get("disagreements", ()))
        return Provider(**row)


def _offers(folder: Path, provider: Provider, models: Mapping[str, Model]) -> Iterable[Offer]:
    path = folder / "offers.toml"
    data = _read(path)
    profiles = cast("dict[str, dict[str, Any]]", data.get("profile", {}))
    with _entry(path, "file"):
        shared = {name: data[name] for name in ("source", "checked")}
        rows = cast("list[dict[str, Any]]", data["offer"])
    for number, row in enumerate(rows, 1):
        made: dict[str, Any] = dict(shared)
        with _entry(path, f"offer {number}"):
            for name in _names(row.pop("profile", ())):
                made |= profiles[name]
        made |= row
        label = f"{made.get('model')}/{made.get('tier')}/{made.get('mode')}"
        with _entry(path, label):
            yield _offer(provider, made, label, models)


def _offer(provider: Provider, made: dict[str, Any], label: str, models: Mapping[str, Model]) -> Offer:
    _known(made, _OFFER_FIELDS, "field")
    _known([made["tier"]], TIERS, "tier")
    _known([made["mode"]], MODES, "mode")
    _known([made["model"]], models, "model")
    for name in ("requires", "accepts"):
        made[name] = tuple(made.get(name, ()))
        _known(made[name], INPUTS, name)
    made["one_of"] = tuple(tuple(group) for group in made.get("one_of", ()))
    _known((name for group in made["one_of"] for name in group), INPUTS, "one_of")
    _known([made.get("audio", "unknown")], get_args(Audio), "audio")
    _dated(made, "checked")
    for name in ("aspect_ratios", "resolutions", "requires_options", "notes", "source_models"):
        made[name] = tuple(made.get(name, ()))
    _known(made["source_models"], models, "model")
    made["durations"] = _seconds(made.get("durations", ()))
    made["rules"] = tuple(_rule(rule) for rule in made.get("rules", ()))
    if made.get("audio") == "by-model-id" and not made.get("vendor_model_audio"):
        raise FactError("audio by-model-id needs vendor_model_audio")
    return Offer(id=f"{provider.id}/{label}", provider=provider.id, **made)


def _rule(row: dict[str, Any]) -> Rule:
    row = dict(row)
    _known(row, _RULE_FIELDS, "rule")
    _known((name for name in row["when"] if not name.startswith("options.")), _CONDITIONS, "condition")
    row["when"] = {name: _wanted(value) for name, value in row["when"].items()}
    if "durations" in row:
        row["durations"] = _seconds(row["durations"])
    for name in ("aspect_ratios", "resolutions", "requires", "forbids", "waives"):
        if name in row:
            row[name] = tuple(row[name])
    for name in ("requires", "forbids", "waives"):
        _known(row.get(name, ()), INPUTS, name)
    return Rule(**row)


def _wanted(value: Any) -> Any:
    return tuple(cast("list[str | int]", value)) if isinstance(value, list) else value


def _prices(folder: Path, provider: Provider) -> Iterable[Price]:
    path = folder / "prices.toml"
    data = _read(path)
    with _entry(path, "file"):
        currency, rows = data["currency"], cast("list[dict[str, Any]]", data["price"])
    for number, row in enumerate(rows, 1):
        with _entry(path, f"price {number}, {', '.join(_names(row.get('models', 'no model')))}"):
            made: dict[str, Any] = {"currency": currency, "silent": None, "audio": None}
            made |= {"when": {}, **row}
            _known(made, _PRICE_FIELDS, "field")
            _known([made["unit"]], get_args(PriceUnit), "unit")
            _dated(made, "effective_from", "checked")
            for name in ("models", "tiers", "modes", "not_included"):
                made[name] = tuple(made.get(name, ()))
            _known(made["when"], INPUTS, "condition")
            _known(made["tiers"], TIERS, "tier")
            _known(made["modes"], MODES, "mode")
            for name in ("silent", "audio", "silent_at_most", "audio_at_most"):
                made[name] = None if made.get(name) is None else Decimal(made[name])
            yield Price(provider=provider.id, **made)


def _seconds(value: str | Iterable[int]) -> tuple[int, ...]:
    """Every length that can be ordered, from `"3-15"` or `[5, 10]`."""
    if isinstance(value, str):
        low, high = (int(part) for part in value.split("-"))
        return tuple(range(low, high + 1))
    return tuple(value)


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _known(found: Iterable[str], allowed: Iterable[str], what: str) -> None:
    strange = sorted(set(found) - set(allowed))
    if strange:
        raise FactError(f"unknown {what}: {', '.join(strange)}")


def _dated(made: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(made[name], date):
            raise FactError(f"{name} must be a date, not {made[name]!r}")


def _no_twins(offers: list[Offer]) -> None:
    seen: set[str] = set()
    for offer in offers:
        if offer.id in seen:
            raise FactError(f"{offer.provider}/offers.toml: {offer.id} is listed twice")
        seen.add(offer.id)


class _entry:  # noqa: N801 - reads as a statement: `with _entry(path, name):`
    """Adds the file and the entry to whatever goes wrong inside."""

    def __init__(self, path: Path, name: str) -> None:
        self._where = f"{path.parent.name}/{path.name} [{name}]"

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, KeyError):
            raise FactError(f"{self._where}: there is no {error}") from error
        if isinstance(error, (TypeError, ValueError, AttributeError, ArithmeticError)):
            raise FactError(f"{self._where}: {error or type(error).__name__}") from error
