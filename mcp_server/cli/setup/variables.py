"""Every environment variable a user may set, in words: the one home of what README and manifests repeat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mcp_server.domain.catalog import Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """An environment variable, as README and the manifests show it."""

    name: str
    what: str
    secret: bool = False
    everyday: bool = False
    """Worth a field of its own in a client's settings."""


_OWN = (
    Variable(
        name="KLING_OUTPUT_DIR",
        what="Folder for finished clips; default is kling-videos in the home folder.",
        everyday=True,
    ),
    Variable(
        name="KLING_HOME",
        what="Folder for the task record and stored keys; default is .kling-video in the home folder.",
    ),
    Variable(
        name="KLING_DAILY_BUDGET_USD",
        what="Refuses any order that would pass this sum in one day.",
        everyday=True,
    ),
    Variable(
        name="KLING_OWNER_BUDGETS",
        what="What each caller of serve --http may spend in a day, in USD, as ISSUER#ann=20,*=5; * is everybody else.",
    ),
    Variable(
        name="KLING_CONFIRM_ABOVE_USD",
        what="Asks before any single order above this price; at the command line 1 unless set.",
        everyday=True,
    ),
    Variable(
        name="KLING_ACCEPT_UNKNOWN_PRICE", what="1 buys without asking where no price is published; else it is refused."
    ),
    Variable(name="KLING3API_USD_PER_CREDIT", what="What you paid for one kling3api credit; nobody publishes it."),
    Variable(name="KLING_SANDBOX_SECONDS", what="About how long the sandbox takes over a clip; default is 2."),
    Variable(name="KLING_SANDBOX_FAULTS", what="What the sandbox shall get wrong, for tests."),
    Variable(name="KLING_NOTIFY_COMMAND", what="Program that is run when a task has ended; its facts as KLING_TASK_…."),
    Variable(name="KLING_NOTIFY_URL", what="Address that the end of a task is posted to, signed."),
    Variable(name="KLING_NOTIFY_SECRET", what="What these posts are signed with (whsec_…).", secret=True),
    Variable(name="KLING_HTTP_TOKEN", what="Bearer token that serve --http asks for.", secret=True),
    Variable(name="KLING_HTTP_ISSUER", what="Whose signed tokens serve --http accepts."),
    Variable(name="KLING_HTTP_URL", what="Address under which clients reach serve --http."),
    Variable(name="KLING_LOG", what="json makes the log of serve --http and worker one JSON object a line."),
    Variable(
        name="KLING_PUBLIC_URL",
        what="Address under which vendors reach serve --http, to post how a job ended; it is polled less then.",
    ),
    Variable(
        name="KLING_DATABASE_URL",
        what="Postgres database that is the record of many machines, instead of a file in KLING_HOME.",
        secret=True,
    ),
    Variable(
        name="KLING_STORE_URL",
        what="Where many machines keep clips, as s3://BUCKET/PREFIX, gs://…, az://… or file:///FOLDER.",
    ),
    Variable(
        name="KLING_WORKER_PROVIDERS",
        what="Vendors the workers of KLING_DATABASE_URL have keys for (runapi,fal), for processes that only order.",
    ),
)


def variables(catalog: Catalog) -> Iterable[Variable]:
    """The vendors' keys first, then our own, then the vendors' addresses."""
    for number, provider in enumerate(catalog.providers.values()):
        rest = " Any one key is enough; without a key everything is simulated for free." if number == 0 else ""
        yield Variable(name=provider.key_variable, what=f"Key for {provider.name}.{rest}", secret=True, everyday=True)
    for provider in catalog.providers.values():
        for name, half in zip(provider.key_pair, ("Access key", "Secret key"), strict=False):
            what = f"{half} of {provider.name}, for its legacy routes; both or neither."
            yield Variable(name=name, what=what, secret=True)
    yield from _OWN
    for provider in catalog.providers.values():
        if provider.callback_secret:
            what = f"What {provider.name} signs its posts with (its console shows it); unset, the address is the proof."
            yield Variable(name=provider.callback_secret, what=what, secret=True)
    for provider in catalog.providers.values():
        yield Variable(
            name=provider.base_url_variable, what=f"Another address for {provider.name}, such as a stand-in for tests."
        )
