"""An S3 on loopback for tests: moto's server in a process of its own, each test with a bucket of its own."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

_COUNT = itertools.count(1)
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIA-of-nobody",
    "AWS_SECRET_ACCESS_KEY": "MARKED-secret-of-nobody",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


class S3:
    """The server, and what is in it as another client sees it."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.variables = {**KEYS, "AWS_ENDPOINT_URL": self.address}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "MOTO_ALLOW_NONEXISTENT_REGION": "1"},
        )  # fmt: skip
        end = time.monotonic() + 180
        while True:
            try:
                with urlopen(f"{self.address}/moto-api/") as answer:
                    answer.read()
                return
            except OSError:
                assert self._process.poll() is None and time.monotonic() < end, "moto's server does not start"
                time.sleep(0.05)

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

    def objects(self, bucket: str) -> dict[str, bytes]:
        client = self.client()
        found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {each["Key"]: client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    made = S3()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket this process has the keys of."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    return s3.bucket()
