"""Google's object store on loopback, as far as clips need it: `python gs_server.py PORT KEY_FILE`.

Its XML API is S3's dialect with credentials, preconditions and signed links of its own. Those three are checked here by
Google's documents, with the public half of the service account's key; the rest is moto's S3. Emulators of Google's store
do not take what obstore sends (docs/scale.md names those that were run).
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

HOST = "storage.googleapis.com"
"""What a link is signed for, whatever address it is sent to: obstore signs so, and Google's own host is this."""
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_S3 = "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"
"""Of the account that support/s3.py looks with, which proves nothing here."""
_WEEK_S = 604_800

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Refused(Exception):
    """A request that does not prove who it comes from."""


class Google:
    """moto's S3 for whoever shows Google's credentials."""

    def __init__(self, inner: Application, account: dict[str, str]) -> None:
        self._inner = inner
        self._email = account["client_email"]
        self._key: Any = load_pem_private_key(account["private_key"].encode(), None).public_key()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if not environ.get("HTTP_AUTHORIZATION", "").startswith("AWS4"):  # the test's own look at what is there
            try:
                self._admit(environ)
            except (Refused, jwt.InvalidTokenError, InvalidSignature, KeyError, ValueError) as error:
                start("403 Forbidden", [("Content-Type", "application/xml")])
                return [f"<Error><Code>AccessDenied</Code><Message>{error!r}</Message></Error>".encode()]
        return self._inner(environ, start)

    def _admit(self, environ: dict[str, Any]) -> None:
        """The request as S3 would get it, once it proved whose it is."""
        query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        if "X-Goog-Signature" in query:
            self._signed(environ, query)
            environ["QUERY_STRING"] = ""
        else:
            self._borne(environ.get("HTTP_AUTHORIZATION", ""))
        environ["HTTP_AUTHORIZATION"] = _S3
        # obstore writes %2D for a dash; moto takes a bucket's name as it is written.
        path, mark, asked = environ["REQUEST_URI"].partition("?")
        environ["REQUEST_URI"] = environ["RAW_URI"] = (
            f"{quote(unquote(path))}{mark}{asked if environ['QUERY_STRING'] else ''}"
        )
        if (generation := environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None)) is not None:
            if generation != "0":
                raise Refused("only what is not there yet is asked for here")
            environ["HTTP_IF_NONE_MATCH"] = "*"

    def _borne(self, said: str) -> None:
        """A token that the service account signed itself (RFC 7523, AIP-4111)."""
        claims = jwt.decode(said.removeprefix("Bearer "), self._key, algorithms=["RS256"])
        if claims["iss"] != self._email or claims["sub"] != self._email or SCOPE not in claims["scope"].split():
            raise Refused("the token is of another account or for something else")

    def _signed(self, environ: dict[str, Any], query: dict[str, str]) -> None:
        """A link with a V4 signature that has not expired."""
        signature = bytes.fromhex(query.pop("X-Goog-Signature"))
        date, lasts = query["X-Goog-Date"], int(query["X-Goog-Expires"])
        begins = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        scope = f"{date[:8]}/auto/storage/goog4_request"
        if query["X-Goog-Credential"] != f"{self._email}/{scope}" or query["X-Goog-Algorithm"] != "GOOG4-RSA-SHA256":
            raise Refused("the link is of another account")
        if not 0 < lasts <= _WEEK_S or not begins - 60 <= time.time() < begins + lasts:
            raise Refused("the link is not of this time")
        named = "&".join(f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in sorted(query))
        path = environ["REQUEST_URI"].partition("?")[0]
        asked = "\n".join((environ["REQUEST_METHOD"], path, named, f"host:{HOST}", "", "host", "UNSIGNED-PAYLOAD"))
        digest = hashlib.sha256(asked.encode()).hexdigest()
        self._key.verify(signature, f"GOOG4-RSA-SHA256\n{date}\n{scope}\n{digest}".encode(), PKCS1v15(), SHA256())


def main(port: int, key_file: Path) -> None:
    inner = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", port, Google(inner, json.loads(key_file.read_text())), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
