"""Annotated documents as JSON lines, as a table for a terminal, or as a page of HTML."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kogner.data.formats import jsonl
from kogner.records import Document, Link, Mention

_SURROGATE = re.compile(r"[\ud800-\udfff]")


def to_json(document: Document, *, explain: bool = False) -> str:
    """One line of JSON: id, text, entities with start, end (half-open code points), text, type, score, entity_id.

    Linked ones have an entity_score, those that name several entities at once also `ids`, all of them. Passages are
    there too, as `jsonl` has them, but for a single one of which nothing is said. explain: also `links`, what an entity
    may be, best first.
    """
    entities = [
        {
            "start": mention.start,
            "end": mention.end,
            "text": mention.text,
            "type": mention.type,
            "score": mention.score,
            "entity_id": mention.entity,
        }
        | ({"entity_score": mention.links[0].score} if mention.links else {})
        | ({"ids": list(mention.ids)} if len(mention.ids) > 1 else {})
        | ({"links": [_link(link) for link in mention.links]} if explain else {})
        for mention in document.mentions
    ]
    raw: dict[str, Any] = {"id": document.id, "text": document.text, "entities": entities}
    if len(document.passages) > 1 or any(passage.infons for passage in document.passages):
        raw["passages"] = jsonl.passages_of(document)
    line = json.dumps(raw, ensure_ascii=False)
    # A lone surrogate (from an escape in JSON input) has no UTF-8 form, so such a line is written in escapes.
    return line if _visible(line) == line else json.dumps(raw)


def _link(link: Link) -> dict[str, Any]:
    said = {"id": link.id, "score": link.score, "name": link.name, "how": link.how}
    said |= {"matched": link.found, "related": list(link.related)}
    return said if link.likeness is None else said | {"likeness": link.likeness}


def _visible(text: str) -> str:
    """A text that UTF-8 can hold: lone surrogates become U+FFFD, one for one, so that offsets stay."""
    return _SURROGATE.sub("\ufffd", text)


def table(documents: Iterable[Document], console: Console, *, explain: bool = False) -> None:
    """Print one table a document. explain: with what else each entity may be, and why."""
    for document in documents:
        # Text, since a str would be read as markup: ids and texts may hold brackets.
        title = Text(_visible(f"{document.id}: {len(document.mentions)} entities"))
        grid = Table(title=title, title_justify="left")
        for name, justify in (("start", "right"), ("end", "right"), ("text", "left"), ("type", "left")):
            grid.add_column(name, justify=justify)  # type: ignore[arg-type]
        grid.add_column("score", justify="right")
        grid.add_column("entity id")
        for mention in document.mentions:
            score = "" if mention.score is None else f"{mention.score:.2f}"
            shown = " ".join(mention.text.split())
            named = "|".join(mention.ids) if len(mention.ids) > 1 else mention.entity or "-"
            cells = (str(mention.start), str(mention.end), shown, mention.type, score, named)
            grid.add_row(*(Text(_visible(cell)) for cell in cells))
            for link in mention.links if explain else ():
                related = f", related to {', '.join(link.related)}" if link.related else ""
                likeness = "" if link.likeness is None else f", vectors {link.likeness:.2f}"
                said = f"{link.name} ({link.how}{likeness}{related})"
                grid.add_row("", "", *(Text(_visible(cell)) for cell in (said, "", f"{link.score:.2f}", link.id)))
        console.print(grid)


HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>KoGNER</title><style>
body { font: 16px/1.9 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
p { white-space: pre-wrap; }
mark { padding: .1em .3em; border-radius: .3em; color: inherit; }
mark small { margin-left: .4em; font-size: .7em; opacity: .75; }
@media (prefers-color-scheme: dark) { body { background: #16181d; color: #e8e8e8; } }
</style></head><body>
"""


FRAGMENT = """<style>
.kogner { line-height: 1.9; white-space: pre-wrap; }
.kogner mark { padding: .1em .3em; border-radius: .3em; color: inherit; }
.kogner mark small { margin-left: .4em; font-size: .7em; opacity: .75; }
</style>"""


def to_html(documents: Iterable[Document]) -> Iterator[str]:
    """Pieces of one self-contained page; entities are `<mark>`s, nested where they are nested.

    Of entities that cross the one of the better score is marked, and the others are listed below their text.
    """
    yield HEAD
    for document in documents:
        yield _visible(f"<h2>{html.escape(document.id)}</h2>\n{_shown(document)}\n")
    yield "</body></html>\n"


def to_fragment(document: Document) -> str:
    """A document as a piece of a page, with a style that touches nothing else on it: what a notebook shows."""
    return _visible(f'{FRAGMENT}<div class="kogner">{_shown(document)}</div>')


def _shown(document: Document) -> str:
    kept, crossing = _uncrossed(document.mentions)
    shown = f"<p>{_marked(document.text, kept)}</p>"
    if not crossing:
        return shown
    said = "".join(f"<li>{html.escape(one.text)} <small>{html.escape(_about(one))}</small></li>" for one in crossing)
    return f"{shown}<p>Not marked, since they cross others:</p><ul>{said}</ul>"


def _uncrossed(mentions: Iterable[Mention]) -> tuple[list[Mention], list[Mention]]:
    """Mentions that nest or lie apart, and those that cross one of them with a better score, both in their order."""
    kept: list[Mention] = []
    crossing: list[Mention] = []
    for run in _runs(sorted(mentions, key=_outer_first)):
        marked: list[Mention] = []
        for one in sorted(run, key=lambda one: (-(one.score or 0), *_outer_first(one))):
            (crossing if any(_cross(one, other) for other in marked) else marked).append(one)
        kept += sorted(marked, key=_outer_first)
    return kept, sorted(crossing, key=_outer_first)


def _runs(mentions: Iterable[Mention]) -> Iterator[list[Mention]]:
    """Mentions in order, in lists of which no two touch the same text."""
    run: list[Mention] = []
    end = 0
    for one in mentions:
        if run and one.start >= end:
            yield run
            run = []
        run.append(one)
        end = max(end, one.end) if len(run) > 1 else one.end
    if run:
        yield run


def _cross(one: Mention, other: Mention) -> bool:
    return one.start < other.start < one.end < other.end or other.start < one.start < other.end < one.end


def _outer_first(mention: Mention) -> tuple[int, int]:
    return (mention.start, -mention.end)


def _about(mention: Mention) -> str:
    score = "" if mention.score is None else f" {mention.score:.2f}"
    return f"{mention.type}{score} {mention.entity or ''}".strip()


def _marked(text: str, mentions: Iterable[Mention]) -> str:
    """A text with marks; mentions: none crosses another, outer ones first."""
    out: list[str] = []
    open_marks: list[Mention] = []
    position = 0

    def close_until(limit: int) -> None:
        nonlocal position
        while open_marks and open_marks[-1].end <= limit:
            mention = open_marks.pop()
            out.append(html.escape(text[position : mention.end]))
            position = mention.end
            out.append(f"<small>{html.escape(mention.type)}</small></mark>")

    for mention in mentions:
        close_until(mention.start)
        out.append(html.escape(text[position : mention.start]))
        position = mention.start
        title = html.escape(_about(mention), quote=True)
        out.append(f'<mark style="background: {_colour(mention.type)}" title="{title}">')
        open_marks.append(mention)
    close_until(len(text))
    out.append(html.escape(text[position:]))
    return "".join(out)


def _colour(kind: str) -> str:
    hue = sum(ord(character) * (place + 7) for place, character in enumerate(kind)) * 47 % 360
    return f"hsl({hue} 70% 60% / .35)"
