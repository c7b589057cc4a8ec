"""A reader that misbehaves on order, to see what the jail lets through."""

import os
import socket
import subprocess
from pathlib import Path
from typing import Any


def read(request: dict[str, Any]) -> dict[str, Any]:
    match request["do"]:
        case "memory":
            return {"size": len(bytearray(3 << 30))}
        case "file":
            Path(request["path"]).write_bytes(b"\0" * (2 << 20))
        case "socket":
            socket.create_connection(("127.0.0.1", request["port"]), timeout=2).close()
        case "process":
            subprocess.run(["true"], check=True)
        case "time":
            while True:
                pass
        case "die":
            os._exit(3)
        case "environment":
            return {"names": sorted(os.environ)}
    return {}
