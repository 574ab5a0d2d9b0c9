"""Local files at fal: announced, put where it says; their address is known before their bytes are there."""

from __future__ import annotations

from mcp_server.domain.catalog import Provider
from mcp_server.domain.file_format import ENOUGH, sniff
from mcp_server.providers.base import HttpCall, HttpReply, Target, Uploaded
from mcp_server.providers.fal.answers import accepted
from mcp_server.providers.media_addresses import unfit
from mcp_server.providers.reading import address, check_stored, unreadable


class Files:
    """fal's way to take a local file (@fal-ai/client 1.10.1 source, storage.js)."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def prepare(self, name: str, content: bytes) -> HttpCall:
        """The announcement: its name and its type."""
        return HttpCall(
            method="POST",
            host="rest",
            path="/storage/upload/initiate",
            params={"storage_type": "fal-cdn-v3"},
            json={"file_name": name, "content_type": _type(content)},
            schema="upload_request",
        )

    def read_prepared(self, reply: HttpReply) -> Target:
        """Where the bytes go, once, and what the file will be called; a place in a private network is not followed."""
        body = accepted(self.facts, reply)
        url, made = address(body.get("upload_url")), address(body.get("file_url"))
        if not url or not made:
            raise unreadable(self.facts, reply, "an upload address")
        # A stand-in for the vendor may run on this machine.
        if reason := unfit(url, simulated=True) or unfit(made, simulated=True):
            raise unreadable(self.facts, reply, f"an upload address that can be used ({reason})")
        return Target(id=made, url=url, ready=Uploaded(url=made))

    def put(self, target: Target, content: bytes) -> HttpCall:
        """The bytes, under the type they were announced with."""
        return HttpCall(
            method="PUT", path=target.url, content=content, headers={"Content-Type": _type(content)}, bare=True
        )

    def read_put(self, reply: HttpReply) -> None:
        """Nothing, where the store took it."""
        check_stored(self.facts, reply)

    def confirm(self, target: Target) -> HttpCall:
        """Never asked for: the target is ready by itself."""
        raise NotImplementedError(target.id)

    def read_confirmed(self, reply: HttpReply) -> Uploaded:
        """Never asked for either."""
        raise unreadable(self.facts, reply, "anything to confirm")


def _type(content: bytes) -> str:
    found = sniff(content[:ENOUGH])
    return found.media_type if found is not None else "application/octet-stream"
