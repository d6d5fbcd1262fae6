"""How a baseline is served: as the application is, by uvicorn with its fastest loop and parser."""

import socket
import sys
from typing import Any

import uvicorn

from bench.processes import allow_connections


def serve(app: Any) -> None:
    """Serve on a free port, which is printed."""
    allow_connections()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])
