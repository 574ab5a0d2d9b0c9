"""The three kinds of object store on loopback, each as obstore's users set it up: by variables and an address."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from support.s3 import S3, begun, free_address

KINDS = os.environ.get("OBJECT_STORES", "s3 gs").split()
"""Which are tried: Azure's comes from npm, and tests/thirdparty/run.py brings it and asks for it."""
_COUNT = itertools.count(1)


class Emulated(Protocol):
    """An emulator, and what is in it as another client sees it."""

    scheme: str
    proves: bool
    variables: dict[str, str]

    def bucket(self) -> str: ...

    def objects(self, bucket: str) -> dict[str, bytes]: ...

    def overwrite(self, bucket: str, key: str, data: bytes) -> None: ...

    def strangers(self) -> dict[str, str]: ...

    def close(self) -> None: ...


class Google(S3):
    """Google's store, as support/gs_server.py plays it for a service account whose key is made here."""

    scheme = "gs"
    proves = True

    def _begun(self, port: str) -> subprocess.Popen[bytes]:
        self._home = Path(tempfile.mkdtemp(prefix="kling-gs-"))
        key_file = self._home / "service-account.json"
        key_file.write_text(account(self.address))
        self.variables = {"GOOGLE_SERVICE_ACCOUNT": str(key_file)}
        server = Path(__file__).with_name("gs_server.py")
        return begun([sys.executable, str(server), port, str(key_file)], self.address)

    def strangers(self) -> dict[str, str]:
        return {"GOOGLE_SERVICE_ACCOUNT": "", "GOOGLE_SERVICE_ACCOUNT_KEY": account(self.address)}

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._home, ignore_errors=True)


def account(address: str) -> str:
    """The JSON of a service account that nobody else has."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    facts = {
        "type": "service_account",
        "client_email": "clips@nobody.iam.gserviceaccount.com",
        "private_key_id": "none",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "gcs_base_url": address,
    }
    return json.dumps(facts)


class Azure:
    """Azurite, which checks every key and signature, and Microsoft's own client beside it."""

    scheme = "az"
    proves = True

    def __init__(self) -> None:
        self._key = base64.b64encode(os.urandom(64)).decode()
        address, self._home = free_address(), tempfile.mkdtemp(prefix="kling-azurite-")
        self._address = f"{address}/clipsofnobody"
        self.variables = {
            "AZURE_STORAGE_ACCOUNT_NAME": "clipsofnobody",
            "AZURE_STORAGE_ACCOUNT_KEY": self._key,
            "AZURE_STORAGE_ENDPOINT": self._address,
        }
        # Where node and azurite are is said by whoever installed them.
        command = [
            *json.loads(os.environ["AZURITE"]),
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            address.rpartition(":")[2],
        ]
        command += ["--location", self._home, "--silent", "--disableTelemetry"]
        self._process = begun(command, address, AZURITE_ACCOUNTS=f"clipsofnobody:{self._key}")

    def _client(self):
        from azure.storage.blob import BlobServiceClient

        credential = {"account_name": "clipsofnobody", "account_key": self._key}
        # A version that the pinned azurite knows; the client's own is newer.
        return BlobServiceClient(self._address, credential=credential, api_version="2025-01-05")

    def bucket(self) -> str:
        name = f"container-{os.getpid()}-{next(_COUNT)}"
        self._client().create_container(name)
        return name

    def objects(self, bucket: str) -> dict[str, bytes]:
        container = self._client().get_container_client(bucket)
        return {each.name: container.download_blob(each.name).readall() for each in container.list_blobs()}

    def overwrite(self, bucket: str, key: str, data: bytes) -> None:
        self._client().get_blob_client(bucket, key).upload_blob(data, overwrite=True)

    def strangers(self) -> dict[str, str]:
        return {"AZURE_STORAGE_ACCOUNT_KEY": base64.b64encode(os.urandom(64)).decode()}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Place:
    """An empty bucket this process has the keys of."""

    emulated: Emulated
    bucket: str

    @property
    def address(self) -> str:
        return f"{self.emulated.scheme}://{self.bucket}"

    def objects(self) -> dict[str, bytes]:
        return self.emulated.objects(self.bucket)

    def overwrite(self, address: str, data: bytes) -> None:
        self.emulated.overwrite(self.bucket, address.removeprefix(f"{self.address}/"), data)


@pytest.fixture(scope="session", params=KINDS)
def emulated(request: pytest.FixtureRequest) -> Iterator[Emulated]:
    with closing({"s3": S3, "gs": Google, "az": Azure}[request.param]()) as made:
        yield made


@pytest.fixture
def place(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in emulated.variables.items():
        monkeypatch.setenv(name, value)
    return Place(emulated, emulated.bucket())
