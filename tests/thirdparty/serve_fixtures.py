"""The real server with the suite's fixtures, on HTTP: `serve_fixtures.py PORT`."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

import uvicorn  # noqa: E402
from thirdparty.fixtures import graft  # noqa: E402

from mcp_server.server.http import build_app  # noqa: E402
from mcp_server.settings import Settings  # noqa: E402

port = int(sys.argv[1])
app = build_app(Settings.read(), host="127.0.0.1", port=port, extra=graft)
uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")).run()
