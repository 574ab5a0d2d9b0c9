"""One look in a process of its own: a file from the internet may crash a decoder, never the server.

`look PATH` prints what the file is as JSON; `sheet PATH [SECONDS …]` (the lengths of the shots) and `last PATH`
print the path of the picture they made.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from mcp_server.errors import LocalError


def main(argv: list[str]) -> int:
    what, path, *rest = argv
    try:
        match what:
            case "look":
                from mcp_server.media.probe import look

                sys.stdout.write(json.dumps(asdict(look(path))))
            case "sheet":
                from mcp_server.media.frames import sheet_beside

                sys.stdout.write(str(sheet_beside(path, [float(second) for second in rest])))
            case "last":
                from mcp_server.media.frames import last_frame_beside

                sys.stdout.write(str(last_frame_beside(path)))
            case _:
                return 64
    except (LocalError, OSError) as error:
        sys.stderr.write(str(error))
        return 65
    return 0
