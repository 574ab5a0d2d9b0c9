"""An S3 on loopback for tests: moto's server in a process of its own, each test with a bucket of its own."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

_COUNT = itertools.count(1)
KEYS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "MARKED-secret-of-nobody",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def begun(command: list[str], address: str, **variables: str) -> subprocess.Popen[bytes]:
    """A server as a process of its own, once it answers anything at its address."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **variables}
    )
    end = time.monotonic() + 180
    while True:
        try:
            with urlopen(address) as answer:
                answer.read()
            return process
        except HTTPError:
            return process
        except OSError:
            assert process.poll() is None and time.monotonic() < end, f"{command[:3]} does not start"
            time.sleep(0.05)


class S3:
    """The server, and what is in it as another client sees it."""

    scheme = "s3"
    proves = False
    """Whether it looks at signatures."""

    def __init__(self) -> None:
        self.address = free_address()
        self.variables = {**KEYS, "AWS_ENDPOINT_URL": self.address}
        self._process = self._begun(self.address.rpartition(":")[2])

    def _begun(self, port: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        return begun(command, f"{self.address}/moto-api/", MOTO_ALLOW_NONEXISTENT_REGION="1")

    def client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.address,
            region_name=KEYS["AWS_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def bucket(self) -> str:
        """The name of an empty one."""
        name = f"bucket-{os.getpid()}-{next(_COUNT)}"
        self.client().create_bucket(Bucket=name)
        return name

    def names(self, bucket: str) -> list[str]:
        """Of every object, however many there are."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def objects(self, bucket: str) -> dict[str, bytes]:
        client = self.client()
        found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}

    def overwrite(self, bucket: str, key: str, data: bytes) -> None:
        """What somebody else may do."""
        self.client().put_object(Bucket=bucket, Key=key, Body=data)

    def strangers(self) -> dict[str, str]:
        """Variables with a key that is not the store's."""
        return {"AWS_SECRET_ACCESS_KEY": "another"}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    with closing(S3()) as made:
        yield made


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket this process has the keys of."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    return s3.bucket()
