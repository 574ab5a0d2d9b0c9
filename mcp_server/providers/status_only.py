"""What most vendors are: ordered from and asked how it stands, and nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers.base import Balance, Cancellation, HttpCall, HttpReply
from mcp_server.providers.reading import refusal


class StatusOnly(ABC):
    """No second call for the clip, no cancelling, no balance; an adapter overrides what its vendor has."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    @abstractmethod
    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """What the look showed, with the clip's address when it is done."""

    def result(self, job: Job) -> HttpCall | None:
        """None: the status carries the clip's address."""
        del job
        return None

    def read_result(self, job: Job, reply: HttpReply) -> JobReport:
        """The status, which is the result."""
        return self.read_status(job, reply)

    def cancel(self, job: Job) -> HttpCall | None:
        """None: no route is documented."""
        del job
        return None

    def read_cancel(self, reply: HttpReply) -> Cancellation:
        """Never asked, so any answer is a refusal."""
        raise refusal(self.facts, reply)

    def balance(self) -> HttpCall | None:
        """None: no route is documented."""
        return None

    def read_balance(self, reply: HttpReply) -> Balance:
        """Never asked, so any answer is a refusal."""
        raise refusal(self.facts, reply)
