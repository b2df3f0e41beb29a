"""Documents as files of other programs: read from what a client sends, written for it to keep."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from kogner.data.formats.registry import by_name, of_input
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Link, Mention, Passage
from kogner.serve.limits import DOCUMENT_CHARACTERS, Limits, RequestError
from kogner.serve.schemas import AskedDocument, ExportedDocument, ExportRequest, Part

TOO_MUCH_MEMORY = "the file takes more memory than there is for it; send it in parts"
# What is one file; how much memory and time it takes is bounded by `kogner.serve.file_process`.
READ = ("text", "jsonl", "pubtator", "bioc-xml", "bioc-json", "pubmed", "jats", "csv", "conll")
ENDINGS = {
    "jsonl": ".jsonl",
    "pubtator": ".pubtator",
    "bioc-xml": ".bioc.xml",
    "bioc-json": ".bioc.json",
    "csv": ".csv",
}
KINDS = {"bioc-xml": "application/xml", "bioc-json": "application/json", "csv": "text/csv; charset=utf-8"}
_PACKED = (b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh")
CUT = f"ids of more than {DOCUMENT_CHARACTERS:,} characters cut"
_NAME_BYTES = 100  # of a file's name, from its end; systems have 255 at most
_NO_NAME = re.compile(r"[^\w.() -]|^\.+")


@dataclass(frozen=True)
class Read:
    """Documents of a file. form: its format. next: number of the first that was not taken, None where all the rest was.

    notes: what its reader had to say, from the beginning of the file to the last of the documents.
    """

    form: str
    documents: list[AskedDocument]
    notes: list[str]
    next: int | None = None


def read(data: bytes, name: str, limits: Limits, *, first: int | None = None) -> Read:
    """The texts of a file, whose format its content and name tell.

    first: number, from 0, of the first document that is wanted; as many as a request may have follow it. None: all.
    Raises RequestError for what is packed, of a format that is not read here, or holds more than a request may;
    InputError, without the place it lay at, for what cannot be read.
    """
    begin, behind = first or 0, None
    if data.startswith(_PACKED):
        raise RequestError(400, "packed", "the file is packed; unpack it first")
    if data.startswith(b"%PDF"):
        raise RequestError(400, "pdf", "the file is a PDF; save its text as a file, or paste it")
    with TemporaryDirectory(prefix="kogner-") as folder:
        path = Path(folder) / _name(name)
        path.write_bytes(data)
        report = Report()
        try:
            form = of_input(path)
            if form.name not in READ or form.read is None:
                raise RequestError(
                    400,
                    "format",
                    f"the file is {form.about}, which is not read here; use 'kogner annotate', or convert",
                )
            found: list[AskedDocument] = []
            for number, document in enumerate(form.read(path, report=report)):
                if number < begin:
                    continue
                if len(found) == limits.documents:
                    behind = number
                    break
                if len(document.text) > limits.characters:
                    raise RequestError(
                        413, "too_many_characters", f"document {number + 1} has {len(document.text):,} characters, "
                        f"the limit is {limits.characters:,} (--max-characters); send it in parts")  # fmt: skip
                for part in (document.id, document.text, *(each for one in document.passages for each in one.infons)):
                    "".join(part).encode()  # raises where it is no text
                if len(document.id) > DOCUMENT_CHARACTERS:
                    report.note(CUT)
                found.append(_asked(document))
        except InputError as error:
            raise InputError(_without(str(error), folder)) from None
        except UnicodeEncodeError:
            raise InputError("the file holds half a surrogate pair, which is no text") from None
    if behind is not None and first is None:
        raise RequestError(
            413, "too_many_documents", f"the file has more than {limits.documents} documents, the limit "
            "(--max-documents); ask for parts, first=0 and then what next says, or use 'kogner annotate'")  # fmt: skip
    notes = [f"{count:,} x {reason}" for reason, count in sorted(report.noted.items())]
    said = [_without(line, folder) for line in report.lines()] + notes
    # They quote what the file holds, half a surrogate pair too.
    return Read(form.name, found, [one.encode("utf-8", "backslashreplace").decode() for one in said], behind)


def write(asked: ExportRequest) -> tuple[bytes, list[str]]:
    """A file of annotated documents, and what it could not keep.

    Raises InputError for an entity that does not lie in its text.
    """
    keeps = () if asked.format == "csv" else by_name(asked.format).keeps
    documents = [
        Document(
            one.id,
            one.text,
            tuple(
                Mention(
                    entity.start,
                    entity.end,
                    entity.type,
                    text=one.text[entity.start : entity.end],
                    ids=tuple(link.id for link in entity.ids[: entity.together]) if entity.together > 1 else (),
                    entity=entity.ids[0].id if entity.ids else None,
                    score=entity.score,
                    links=tuple(Link(link.id, link.score, link.name) for link in entity.ids[: entity.together]),
                )
                for entity in sorted(one.entities, key=lambda entity: (entity.start, -entity.end))
            ),
            # Not what was annotated but what was found; a format that has no place for it loses nothing.
            frozenset(entity.type for entity in one.entities) if "annotated type" in keeps else frozenset(),
            passages=_passages(one, asked.format),
        )
        for one in asked.documents
    ]
    if asked.format == "csv":
        return _table(documents).encode(), []
    report, form = Report(), by_name(asked.format)
    with TemporaryDirectory(prefix="kogner-") as folder:
        path = Path(folder) / f"found{ENDINGS[asked.format]}"
        assert form.write is not None
        form.write(path, documents, report=report)
        for document in documents:
            for reason, count in form.not_kept(document):
                report.note(reason, count)
        notes = [f"{count:,} x {reason}" for reason, count in sorted(report.noted.items())]
        return path.read_bytes(), [_without(line, folder) for line in report.lines()] + notes


def _asked(document: Document) -> AskedDocument:
    """A document as it is sent; a part that is all of it, of which nothing is said, goes without saying."""
    parts = [Part(start=one.start, end=one.end, infons=dict(one.infons)) for one in document.passages]
    if len(parts) == 1 and not parts[0].infons:
        parts = []
    return AskedDocument(id=document.id[:DOCUMENT_CHARACTERS], text=document.text, passages=parts)


def _passages(document: ExportedDocument, form: str) -> tuple[Passage, ...]:
    """The parts of a document in order; BioC has one at least. Raises InputError for what is none of its text."""
    if not document.passages:
        return (Passage(0, len(document.text)),) if form.startswith("bioc") and document.text else ()
    for one in document.passages:
        if not one.start <= one.end <= len(document.text):
            raise InputError(
                f"passage [{one.start}, {one.end}) is no part of a text of {len(document.text)} characters",
                document=document.id,
            )
    found = (Passage(one.start, one.end, tuple(one.infons.items())) for one in document.passages)
    return tuple(sorted(found, key=lambda one: (one.start, one.end)))


def _name(name: str) -> str:
    """A name that a file can have anywhere, with the end of that which was given."""
    plain = _NO_NAME.sub("_", PurePosixPath(name).name)
    return plain.encode("utf-8", "replace")[-_NAME_BYTES:].decode("utf-8", "ignore") or "text"


def _table(documents: Sequence[Document]) -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(("document", "start", "end", "text", "type", "score", "entity_id", "entity_name", "entity_score"))
    for document in documents:
        for one in document.mentions:
            links = one.links[: max(len(one.ids), 1)]
            named = ("|".join(link.id for link in links), "|".join(link.name for link in links))
            found = (*named, links[0].score if links else "")
            rows.writerow((document.id, one.start, one.end, one.text, one.type, one.score, *found))
    return out.getvalue()


def _without(text: str, folder: str) -> str:
    return text.replace(f"{folder}/", "")
