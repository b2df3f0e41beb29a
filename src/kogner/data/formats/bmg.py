"""BMG records as the paper has them: {"tokenized_text", "ner", "kge", "entity_spans", "kges"}, one JSON object a line.

`ner` are all mentions and `entity_spans` the two entities at their first places, [first word, last word, type]; `kge`
are the two as [name, graph id] and `kges` their places, [first word, last word, graph id]. Words are counted and the
last one is inclusive, as GLiNER reads `tokenized_text` and `ner` (a reading: the paper does not say).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kogner.artifacts import write_atomic
from kogner.data.formats import gliner
from kogner.data.formats.files import lines, stem
from kogner.data.formats.jsonl import encoded
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Mention

NO_LINK = "kges entry that is no mention"


def record(document: Document, kge: Sequence[tuple[str, str]], report: Report, path: Path) -> dict[str, Any]:
    """A document as a record; kge: (name, graph id) of the entities it was written about."""
    from kogner.data.written import key_of

    made = gliner.example(document, report, path)
    spans: list[list[Any]] = []
    links: list[list[Any]] = []
    reachable = [one for one in document.mentions if one.entity is not None]
    for name, identifier in kge:
        own = [one for one in reachable if one.entity == identifier]
        named = (one for one in own if key_of(document.text[one.start : one.end]) == key_of(name))
        mention = next(named, own[0] if own else None)
        if mention is None:
            continue
        alone = gliner.example(Document(document.id, document.text, (mention,)), Report(), path)["ner"]
        for first, last, kind in alone:
            spans.append([first, last, kind])
            links.append([first, last, identifier])
    return made | {"kge": [list(entry) for entry in kge], "entity_spans": spans, "kges": links}


def write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records as JSON lines, all or nothing."""
    write_atomic(path, "".join(f"{encoded(one)}\n" for one in records))


def read(path: Path, *, report: Report) -> list[Document]:
    """Read records as documents; a mention that stands in `kges` has that entity. Words are joined by blanks."""
    documents = []
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            tokens, ner = raw["tokenized_text"], raw["ner"]
            ids = {(first, last): str(identifier) for first, last, identifier in raw.get("kges", ())}
            text, spans = gliner.joined(tokens)
            wrong = next((one for one in ner if not gliner.is_span(one, len(tokens))), None)
            if wrong is not None:
                raise ValueError(f"{wrong} is no [first word, last word, type] of {len(tokens)} words")
            mentions = [
                Mention(spans[first][0], spans[last][1], str(kind), entity=ids.pop((first, last), None))
                for first, last, kind in ner
            ]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, InputError, RecursionError) as error:
            raise InputError(f"is no BMG record: {type(error).__name__} {error}", path=path, line=number) from error
        for first, last in ids:
            report.skip(NO_LINK, f"[{first}, {last}]", path=path, line=number)
        written = tuple(
            Mention(one.start, one.end, one.type, text[one.start : one.end], entity=one.entity) for one in mentions
        )
        documents.append(Document(f"{stem(path)}:{number}", text, written))
    if not documents:
        raise InputError("holds no record", path=path)
    kinds = frozenset(mention.type for document in documents for mention in document.mentions)
    return [Document(one.id, one.text, one.mentions, kinds) for one in documents]
