"""`kogner serve`: a model over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kogner.commands.options import engine_options, graph_options, model_option
from kogner.errors import MissingExtraError
from kogner.serve.limits import Limits

_SECONDS = click.FloatRange(min=0, min_open=True)
# Option, field of Limits, what it says.
_BOUNDS = (
    ("--max-body", "body_bytes", "Bytes of a request's body."),
    ("--max-documents", "documents", "Of a request."),
    ("--max-characters", "characters", "Of a document."),
    ("--max-labels", "labels", "Of a request."),
    ("--max-label-characters", "label_characters", "Of a label."),
    ("--max-wait", "max_wait", "Seconds that a request may wait for its turn, by the rate that was measured; where it "
     "would be more, it is turned away with 429."),
    ("--timeout", "timeout", "Seconds that a request may take, from its body to its answer."),
    ("--header-timeout", "header_s", "Seconds in which the head of a request must come in."),
    ("--body-timeout", "body_s", "Seconds in which its body must come in, and a client must go on reading."),
    ("--queue-requests", "queue_requests", "Requests that may wait."),
    ("--queue-characters", "queue_characters", "Characters that may wait, and of a request."),
    ("--held-bytes", "held_bytes", "Of the bodies of all requests."),
    ("--connections", "connections", "That may be open."),
    ("--batch-characters", "batch_characters", "Read by the model at once: more is faster in all, and makes a short "
     "request wait longer."),
    ("--batch-wait", "batch_wait", "Seconds that a request waits for others to be read with, where the model is idle."),
    ("--max-candidates", "candidates", "Spans that may reach their thresholds, of what is read at once, and "
     "entities of a request."),
)  # fmt: skip


def _bounds(command: Callable[..., Any]) -> Callable[..., Any]:
    usual = Limits()
    for option, field, said in reversed(_BOUNDS):
        value = getattr(usual, field)
        kind: click.ParamType = click.IntRange(min=1) if isinstance(value, int) else click.FloatRange(min=0)
        command = click.option(option, field, type=kind, default=value, show_default=True, help=said)(command)
    return command


@click.command("serve")
@model_option
@graph_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@engine_options(batch_tokens=4096)
@click.option("--engine", type=click.Choice(["torch", "onnx", "openvino"]), help="As of 'kogner annotate'.")
@click.option("--label-cache", type=click.Path(), help="As of 'kogner annotate'.")
@click.option("--api-keys-file", type=click.Path(path_type=Path), help="Keys, one a line, of which a request needs "
              "one; more in the variable KOGNER_API_KEYS.")  # fmt: skip
@click.option("--allowed-host", "hosts", multiple=True, metavar="NAME", help="Name that clients may call this server "
              "by, in their Host header; can be repeated. Default: on loopback the names of this machine for itself, "
              "elsewhere any.")  # fmt: skip
@click.option("--cors-origin", "origins", multiple=True, metavar="URL", help="Origin whose pages may ask, such as "
              "https://example.org; can be repeated. Default: none but the server's own page.")  # fmt: skip
@click.option("--grace", type=_SECONDS, default=30.0, show_default=True, help="Seconds in which requests are finished "
              "after SIGTERM.")  # fmt: skip
@_bounds
def command(
    model: str,
    graph: str | None,
    name_weight: float | None,
    link_to: str | None,
    aliases: tuple[str, ...],
    bank: str | None,
    nil: float,
    host: str,
    port: int,
    device: str,
    threads: int,
    precision: str,
    batch_tokens: int,
    engine: str | None,
    label_cache: str | None,
    api_keys_file: Path | None,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    grace: float,
    **bounds: Any,
) -> None:
    """Serve a model over HTTP: POST /v1/annotate, with the interface described at /docs and /openapi.json.

    The last line of its start is the address. Logs are JSON lines on standard error, without anything a client wrote
    but its X-Request-Id.
    SIGTERM ends it once what it has accepted is answered.

    \b
    Example:
      kogner serve --model models/kogner-mini --graph build/graph --link-to MESH --threads 2
      curl -H 'Content-Type: application/json' http://127.0.0.1:8000/v1/annotate \\
        -d '{"text": "Aspirin lowers fever.", "labels": ["chemical", "disease"]}'
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingExtraError("kogner serve", "serve") from None
    from kogner import progress
    from kogner.annotate.annotator import Annotator, GraphUse
    from kogner.annotate.predictor import Settings
    from kogner.progress import note
    from kogner.serve import listener, log, server
    from kogner.serve.access import Access, allowed_hosts, check_origins, is_loopback
    from kogner.serve.app import create_app
    from kogner.serve.keys import VARIABLE, ApiKeys
    from kogner.serve.service import Service

    limits = Limits(**bounds)
    settings = Settings(precision=precision, token_budget=batch_tokens, threads=threads, name_weight=name_weight)
    keys = ApiKeys.read(api_keys_file)
    check_origins(origins)
    own = listener.bind(host, port)
    try:
        bound = own.getsockname()[0]
        access = Access(keys, allowed_hosts(host, hosts, bound=bound), origins)
        used = GraphUse(graph, link_to, aliases, bank, nil, name_weight, likeness=bank is not None)
        annotator = Annotator.open(model, used, device=device, engine=engine, label_cache=label_cache)
        service = Service(annotator, limits, settings)
        app = create_app(service, access)
        if not keys and not is_loopback(bound):
            note(f"everyone who reaches {host} can ask; to want a key, give --api-keys-file or {VARIABLE}")
        log.set_up(quiet=progress.is_quiet())
        where = listener.address(own)
        made = server.make(app, service, grace=grace, started=lambda: click.echo(f"KoGNER serves at {where}"))
        server.run(made, own)
    finally:
        own.close()
