"""UniAll: tier and sound are in the model id; finer settings go into a literal `extra_body`."""

from __future__ import annotations

from urllib.parse import quote

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.domain.request import CheckedRequest, native_option
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers import new_api
from mcp_server.providers.base import Balance, Cancelled, HttpCall, HttpReply
from mcp_server.providers.reading import refusal


class Wire:
    """UniAll's protocol."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:  # noqa: ARG002 - no idempotency here
        """The order; beside the caller's own `multi_prompt` an image order has no prompt, as the vendor demands."""
        request = checked.request
        shots_in_options = native_option(request.options, "extra_body.multi_prompt") is not None
        extra = {"negative_prompt": request.negative_prompt, "cfg_scale": request.cfg_scale}
        body = {
            "model": checked.vendor_model,
            "prompt": None if request.image and shots_in_options else checked.prompt,
            "image": request.image,
            "last_image": request.end_image,
            "aspect_ratio": checked.aspect_ratio,
            "duration": checked.duration,
            "extra_body": {name: value for name, value in extra.items() if value is not None} or None,
        }
        return HttpCall(
            method="POST",
            path="/v1/video/generations",
            json={name: value for name, value in body.items() if value is not None},
            schema=checked.offer.schema,
            paid=True,
        )

    def read_submit(self, reply: HttpReply) -> Job:
        """The job that was bought."""
        return new_api.job(self.facts, reply)

    def status(self, job: Job, offer: Offer) -> HttpCall:  # noqa: ARG002 - one route for every offer
        """One look; orders and looks live under different nouns."""
        return HttpCall(method="GET", path=f"/v1/videos/{quote(job.id, safe='')}")

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:  # noqa: ARG002 - the answer stands alone
        """How the job stands."""
        return new_api.report(self.facts, reply)

    def result(self, job: Job) -> HttpCall | None:  # noqa: ARG002
        """None: the status carries the address."""
        return None

    def read_result(self, job: Job, reply: HttpReply) -> JobReport:
        """The status, which is the result."""
        return self.read_status(job, reply)

    def cancel(self, job: Job) -> HttpCall | None:  # noqa: ARG002
        """None: no route is documented."""
        return None

    def read_cancel(self, reply: HttpReply) -> Cancelled:
        """Never asked, so any answer is a refusal."""
        raise refusal(self.facts, reply)

    def balance(self) -> HttpCall | None:
        """None: a page about it exists, its content is not public."""
        return None

    def read_balance(self, reply: HttpReply) -> Balance:
        """Never asked, so any answer is a refusal."""
        raise refusal(self.facts, reply)
