"""Bodies of requests: read within limits of size and time, and turned into work for the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from kogner.annotate.label_check import check_labels
from kogner.records import Document
from kogner.serve.batcher import Question, Work
from kogner.serve.limits import Limits, RequestError
from kogner.serve.parsing import MalformedError
from kogner.serve.schemas import AnnotateRequest

JSON, BYTES = "application/json", "application/octet-stream"


class Bodies:
    """Reads bodies and counts the bytes that all requests hold together. Belongs to one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0  # bytes

    @asynccontextmanager
    async def read(self, request: Request, kind: str = JSON) -> AsyncIterator[bytearray]:
        """The body of a request, counted as held until the block ends. kind: media type it must have.

        Raises RequestError: 413 where it is too large (before it is read, where its head says so), 415 where it is of
        another kind, 408 where it takes too long, 429 where the bodies of all requests hold too much.
        """
        _check_kind(request, kind)
        limit, counted = self._limits.body_bytes, 0
        said = request.headers.get("content-length", "")
        if said.isdecimal() and int(said) > limit:
            raise self._too_large(int(said))
        until = time.monotonic() + self._limits.body_s
        body = bytearray()
        try:
            while True:
                try:
                    message = await asyncio.wait_for(request.receive(), max(0.0, until - time.monotonic()))
                except asyncio.TimeoutError:
                    raise RequestError(
                        408, "slow", f"the body took longer than {self._limits.body_s:g} s (--body-timeout)"
                    ) from None
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                piece = message.get("body", b"")
                counted += len(piece)
                self.held += len(piece)
                if counted > limit:
                    raise self._too_large(None)
                if self.held > self._limits.held_bytes:
                    raise RequestError(
                        429,
                        "busy",
                        f"the bodies of all requests hold more than {self._limits.held_bytes:,} bytes "
                        "(--held-bytes); ask again in a second",
                        retry_after=1,
                    )
                body += piece
                if not message.get("more_body", False):
                    break
            yield body
        finally:
            self.held -= counted

    def _too_large(self, found: int | None) -> RequestError:
        said = "more" if found is None else f"{found:,}"
        return RequestError(
            413,
            "body_too_large",
            f"the body has {said} bytes, the limit is {self._limits.body_bytes:,} (--max-body); "
            "send the documents in several requests",
        )


def to_work(asked: AnnotateRequest, limits: Limits, *, graph: bool) -> Work:
    """What the model is to do. graph: whether the server has one.

    Raises RequestError (422, 413, 400) where it is more or other than a request may ask, InputError for labels that are
    none.
    """
    one, several = "text" in asked.model_fields_set, "send several requests"
    _at_most(len(asked.labels), limits.labels, "labels", "--max-labels", "ask in several requests", where="labels")
    _at_most(len(asked.thresholds), limits.labels, "thresholds", "--max-labels", several, where="thresholds")
    _at_most(len(asked.documents), limits.documents, "documents", "--max-documents", several, where="documents")
    documents = [Document("text", asked.text)] if one else [Document(each.id, each.text) for each in asked.documents]
    for number, label in enumerate(asked.labels):
        _at_most(len(label), limits.label_characters, "characters in a label", "--max-label-characters",
                 "name it shorter", where=f"labels.{number}")  # fmt: skip
    for number, document in enumerate(documents):
        _at_most(len(document.text), limits.characters, "characters in a document", "--max-characters",
                 "send its parts as documents of their own",
                 where="text" if one else f"documents.{number}.text")  # fmt: skip
    whole = sum(len(document.text) for document in documents)
    if whole > limits.queue_characters:
        said = f"{whole:,} characters in a request, the limit is {limits.queue_characters:,} (--queue-characters)"
        raise RequestError(413, "too_many_characters", f"{said}; send several requests", where="documents")
    if asked.link and not graph:
        raise RequestError(
            400, "no_graph", "this server has no graph to link to; leave link, or start it with --graph", where="link"
        )
    labels = check_labels(asked.labels)
    thresholds = {name.strip(): value for name, value in asked.thresholds.items()}
    if len(thresholds) < len(asked.thresholds):
        raise RequestError(
            400, "label_twice", "thresholds has labels that differ in blanks only; give each once", where="thresholds"
        )
    unknown = sorted(thresholds.keys() - set(labels))
    if unknown:
        raise RequestError(
            400,
            "unknown_label",
            f"thresholds has {unknown[0]!r}, which is not among the labels: {', '.join(labels[:20])}",
            where="thresholds",
        )
    if asked.nested and asked.overlap == "best":
        raise RequestError(
            400,
            "no_nested_best",
            "overlap best takes spans apart from each other; with nested take score",
            where="overlap",
        )
    question = Question(
        tuple(labels),
        asked.threshold,
        tuple(sorted(thresholds.items())),
        asked.nested,
        asked.multi_label,
        asked.overlap,
        asked.agreement,
    )
    return Work(documents, question, link=graph if asked.link is None else asked.link)


def _at_most(found: int, limit: int, what: str, option: str, way_out: str, *, where: str) -> None:
    """Raise RequestError for more than a limit: 422, since the schema says it."""
    if found > limit:
        message = f"{found:,} {what}, the limit is {limit:,} ({option}); {way_out}"
        raise RequestError(422, f"too_many_{what.split()[0]}", message, where=where)


def _check_kind(request: Request, wanted: str) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise RequestError(
            415, "other_type", f"the body is {kind or 'of no type'}; send it with Content-Type: {wanted}"
        )
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise RequestError(415, "packed", f"the body is packed ({packed}); send it as it is")


def where_of(error: RequestError) -> list[dict[str, Any]]:
    """The details of a refusal as `Problem.details`."""
    found = list(error.details) if isinstance(error, MalformedError) else []
    if error.where is not None:
        found.append((error.where, str(error)))
    return [{"where": where, "message": said} for where, said in found]
