"""The process that runs the built-in model: llama.cpp's own HTTP server, on a loopback port of its choice.

Started by file path, in a process of its own: loading holds the interpreter's lock for most of a second,
and ending the engine within an answer aborts the process. It reads one line of JSON, writes one line of
JSON, `{"address": ...}` or `{"trouble": ...}`, and ends when its standard input does.
"""

import importlib
import json
import os
import signal
import sys
import threading
from typing import Any


def main() -> None:
    """Serve until standard input ends."""
    # Ctrl-C, and systemd's SIGTERM, come to every process of ours. They are for the application, which may
    # let answers come to their end first, and then ends this.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    # What the engine prints belongs in the log; our line keeps standard output for itself.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    config = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reply: dict[str, str]
    server = None
    try:
        server = _serve(config)
        reply = {"address": server.listening_address}
    except ImportError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201  This is the child's log.
        missing = isinstance(error, ModuleNotFoundError) and error.name == "xllamacpp"
        reply = {
            "trouble": "not installed" if missing else "libgomp" if "libgomp" in str(error) else "engine"
        }
    except Exception as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201
        reply = {"trouble": "model"}
    answer.write(json.dumps(reply) + "\n")
    answer.flush()
    if server is None:
        os._exit(1)
    threading.Event().wait()


def _serve(config: dict[str, Any]) -> Any:
    xllamacpp = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = config["model_path"]
    params.model_alias = {config["model"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["key"]]
    params.n_parallel = config["slots"]
    params.n_ctx = config["slots"] * config["context_tokens"]
    # A client that went away while its prompt is read is noticed between batches.
    params.n_batch = params.n_ubatch = 256
    params.cpuparams.n_threads = config["threads"]
    params.cpuparams_batch.n_threads = config["prompt_threads"]
    params.cache_ram_mib = 64  # The default may grow to 8 GiB.
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = ""
    params.verbosity = 1
    return xllamacpp.Server(params)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    # Nothing is cleaned up on purpose: destroying the server within an answer aborts.
    os._exit(0)


if __name__ == "__main__":
    main()
