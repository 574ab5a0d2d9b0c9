"""Access key and secret key: the one names an account, the other signs a token for every call and never leaves."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

from mcp_server.domain.catalog import Provider
from mcp_server.settings import KeyFile, Secret, Settings

LIFE_S: Final = 1800
"""How long a token is good for: as Kling's own example has it (`exp = now + 1800`)."""
BEFORE_S: Final = 5
"""How far back it begins: the vendor's clock may be behind (`nbf = now - 5`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Both halves of a pair."""

    access: Secret
    signing: Secret

    def token(self, now: float) -> str:
        """A fresh token that says who asks; HS256, to be sent as a key."""
        # Imported here: it loads cryptography, and hardly an order is signed.
        import jwt

        claims = {"iss": self.access.value, "exp": int(now) + LIFE_S, "nbf": int(now) - BEFORE_S}
        with warnings.catch_warnings():
            # How long its keys are is the vendor's affair.
            warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
            return jwt.encode(claims, self.signing.value, algorithm="HS256")


def key_pair(facts: Provider, settings: Settings, *, seen: KeyFile | None = None) -> KeyPair | None:
    """The user's pair for this provider; None unless both halves are there."""
    halves = [settings.secret(name, seen=seen) for name in facts.key_pair]
    match halves:
        case [Secret() as access, Secret() as signing]:
            return KeyPair(access=access, signing=signing)
        case _:
            return None


def missing_half(facts: Provider, settings: Settings) -> str:
    """The variable that is missing beside the other one of a pair, as a sentence; empty where nothing is."""
    there = [name for name in facts.key_pair if settings.secret(name)]
    lacking = [name for name in facts.key_pair if name not in there]
    if not there or not lacking:
        return ""
    return f"{there[0]} is set and {lacking[0]} is missing: one without the other signs nothing"
