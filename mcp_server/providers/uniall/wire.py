"""UniAll: tier and sound are in the model id; finer settings go into a literal `extra_body`."""

from __future__ import annotations

from mcp_server.domain.request import CheckedRequest, native_option
from mcp_server.providers.base import HttpCall
from mcp_server.providers.new_api import Gateway


class Wire(Gateway):
    """UniAll's protocol; orders and looks live under different nouns."""

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
