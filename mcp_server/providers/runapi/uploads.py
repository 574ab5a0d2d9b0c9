"""Local files at RunAPI: announced, put where it says, confirmed; then they have an address for a while."""

from __future__ import annotations

import base64
import hashlib

from mcp_server.domain.catalog import Provider
from mcp_server.providers.base import HttpCall, HttpReply, Target, Uploaded
from mcp_server.providers.media_addresses import unfit
from mcp_server.providers.reading import address, check_stored, identifier, mapping, text, unreadable
from mcp_server.providers.runapi.answers import accepted


class Files:
    """RunAPI's way to take a local file (runapi-core 0.10.1 source, files.py)."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def prepare(self, name: str, content: bytes) -> HttpCall:
        """The announcement: name, length and checksum."""
        checksum = hashlib.md5(content, usedforsecurity=False).digest()
        return HttpCall(
            method="POST",
            path="/api/v1/files/prepare",
            json={
                "filename": name,
                "byte_size": len(content),
                "checksum": base64.b64encode(checksum).decode("ascii"),
            },
            schema="file_prepare_request",
        )

    def read_prepared(self, reply: HttpReply) -> Target:
        """Where the bytes go; a place inside a private network is not followed."""
        body = accepted(self.facts, reply)
        signed_id, url = identifier(body.get("signed_id")), address(body.get("upload_url"))
        if not signed_id or not url:
            raise unreadable(self.facts, reply, "an upload address")
        # A stand-in for the vendor may run on this machine.
        if reason := unfit(url, simulated=True):
            raise unreadable(self.facts, reply, f"an upload address that can be used ({reason})")
        headers = {
            name: value.strip() if isinstance(value, str) else text(value)
            for name, value in mapping(body.get("headers")).items()
        }
        return Target(id=signed_id, url=url, headers=headers)

    def put(self, target: Target, content: bytes) -> HttpCall:
        """The bytes, under the headers they were announced with."""
        return HttpCall(method="PUT", path=target.url, content=content, headers=target.headers, bare=True)

    def read_put(self, reply: HttpReply) -> None:
        """Nothing, where the store took it."""
        check_stored(self.facts, reply)

    def confirm(self, target: Target) -> HttpCall:
        """The call that says the bytes are complete."""
        return HttpCall(
            method="POST", path="/api/v1/files/confirm", json={"signed_id": target.id}, schema="file_confirm_request"
        )

    def read_confirmed(self, reply: HttpReply) -> Uploaded:
        """The address to order with."""
        body = accepted(self.facts, reply)
        url = address(body.get("url"))
        if not url:
            raise unreadable(self.facts, reply, "the file's address")
        return Uploaded(url=url, expires_at=text(body.get("expires_at")))
