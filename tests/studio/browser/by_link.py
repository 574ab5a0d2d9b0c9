"""A studio where machines share the record, for the browser to look at: `python by_link.py FOLDER`.

Postgres, an object store and the vendors on loopback; the studio orders, one worker makes the clips. The link and the
store's address stand on standard output; the end of standard input ends it.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[number]) for number in (2, 3)]

from support.machines import machines  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.s3 import S3  # noqa: E402

from mcp_server.tasks.store.postgres.migrate import migrate  # noqa: E402


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cluster, s3 = Cluster(durable=False), S3()
    try:
        database = cluster.make("studio")
        asyncio.run(migrate(database))
        store = {**s3.variables, "KLING_STORE_URL": f"s3://{s3.bucket()}/studio", "KLING_WORKER_PROVIDERS": "runapi"}
        with machines(folder, database, rendering=True) as fleet:
            fleet.worker("worker", **store)
            studio = fleet.begin("studio", "studio", "--port", "0", "--no-open", keys=False, **store)
            print(*re.findall(r"http\S+code=\S+", studio.until("code=")), s3.address, flush=True)
            sys.stdin.read()
    finally:
        s3.close()
        cluster.remove()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
