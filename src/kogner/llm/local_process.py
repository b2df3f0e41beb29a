"""The process that serves a GGUF model: started by `local`, ends with the process that started it.

One line of JSON comes in on standard input (path, key, threads, parallel, context), one goes out on standard output
(address, or error). Standard input then stays open: its end, also by a `kill -9` of the parent, ends this process.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Serve until standard input ends."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the library prints is log
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        server = _start(asked)
        said.write(json.dumps({"address": server.listening_address}) + "\n")
    except Exception as error:  # the parent makes one message of whatever it is
        said.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        said.flush()
        os._exit(1)
    said.flush()
    while sys.stdin.read(4096):
        pass
    os._exit(0)  # the server's threads do not end by themselves


def _start(asked: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = asked["path"]
    params.n_ctx = asked["context"]
    params.n_parallel = asked["parallel"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [asked["key"]]
    params.ui = False
    params.verbosity = 1  # errors: the log of a million requests would fill the disk
    params.offline = True
    params.endpoint_slots = False
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
