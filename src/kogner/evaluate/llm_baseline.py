"""Zero-shot recognition by a language model, scored as a student is (arXiv 2503.15737, table 1).

The model is given a text and the list of types, and answers with mentions and types. What it says is laid on the text:
an entry is a mention at the next place of its text that no earlier entry of the same text and type took; an entry that
is given once stands for all its places, in either case but for symbols. Unless nested entities are asked for, the
longest entries take their places first and leave none inside them, as in a flat corpus. What cannot be used is counted
apart: truncated and unparsable answers, entries of other types, entries whose text is not there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kogner.data.prompts import MENTIONS
from kogner.graph.forms import is_symbol
from kogner.records import Document, Mention
from kogner.text import words

if TYPE_CHECKING:
    from kogner.llm.asking import Asker
    from kogner.llm.request import ModelId, Request

VERSION = 3  # of the prompt and of the form of its answer
WRONG_TYPE, NOT_THERE = "entry of a type that was not asked for", "entry that is not in the text"
BAD_ENTRY, BAD_FORM = "entry that is no mention with a type", "answer without a list of entities"
OTHER_CASE, INSIDE = "entry in another case than the text", "entry that is only inside others"
_SYSTEM = """
You recognise entities in biomedical text. You are given a text and a list of entity types.
- List every entity of these types in the order of the text, each time it occurs$inside.
- "mention" is copied from the text character by character; "type" is one of the given types, as it is written there.
- Do not list anything else. An empty list is a good answer where there is none.
Answer with one JSON object that holds the list "entities"; each of its entries has "mention" and "type".
"""


def question(
    document: Document,
    types: Sequence[str],
    model: ModelId,
    *,
    max_tokens: int,
    temperature: float | None,
    nested: bool = False,
) -> Request:
    """What is asked about one text. nested: ask for entities inside others as well."""
    from kogner.llm.request import Request

    user = f"Types: {', '.join(types)}\nText: {document.text}"
    system = _SYSTEM.strip().replace("$inside", ", also inside a longer one" if nested else "")
    return Request(model, system, user, answer_form(types), max_tokens, temperature)


def answer_form(types: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer; only the types that are asked for fit, where a server keeps to schemas."""
    entry = MENTIONS["items"]
    kinds = {"type": "string", "enum": list(types)}
    listed = {**MENTIONS, "items": {**entry, "properties": {**entry["properties"], "type": kinds}}}
    return {
        "type": "object",
        "properties": {"entities": listed},
        "required": ["entities"],
        "additionalProperties": False,
    }


async def recognise(
    documents: Sequence[Document],
    types: Sequence[str],
    asker: Asker,
    *,
    max_tokens: int = 1024,
    temperature: float | None = 0.0,
    nested: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> tuple[list[Document], Counter[str]]:
    """The documents with the mentions that the model gave, and counts of what could not be used, by reason.

    A document whose request failed, or whose answer cannot be read, has no mention. nested: of entities in one another
    all count, not only the longest.
    """
    from kogner.llm.answers import NotJsonError, meant, parse_reply
    from kogner.llm.request import Failure

    found: dict[str, tuple[Mention, ...]] = {}
    counts = Counter[str]()
    by_id = {document.id: document for document in documents}
    requests = (
        (one.id, question(one, types, asker.model.id, max_tokens=max_tokens, temperature=temperature, nested=nested))
        for one in documents
    )
    async for name, reply in asker.ask_all(requests):
        progress()
        if isinstance(reply, Failure):
            counts[reply.reason] += 1
            continue
        try:
            answer = parse_reply(reply)
        except NotJsonError as error:
            counts[error.reason] += 1
            continue
        value = meant(answer.value, ("entities",))
        entries = value.get("entities") if isinstance(value, dict) else value
        if not isinstance(entries, list):
            counts[BAD_FORM] += 1
            continue
        found[name] = tuple(aligned(entries, by_id[name].text, types, counts, nested=nested))
    return [
        Document(one.id, one.text, found.get(one.id, ()), one.types) for one in documents
    ], counts  # fmt: skip


def aligned(
    entries: Sequence[Any], text: str, types: Sequence[str], counts: Counter[str], *, nested: bool = False
) -> list[Mention]:
    """The mentions that entries `{"mention", "type"}` stand for; what cannot be used is counted by reason.

    nested: mentions may lie in one another; else the longest entry takes its places first.

    >>> listed = [{"mention": "IL-2", "type": "Gene"}, {"mention": "IL-2 level", "type": "Gene"}]
    >>> [(one.start, one.text) for one in aligned(listed, "IL-2 level, IL-2", ["gene"], Counter())]
    [(0, 'IL-2 level'), (12, 'IL-2')]
    """
    known = {kind.casefold(): kind for kind in types}
    wanted: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("mention"), str) or not entry["mention"].strip():
            counts[BAD_ENTRY] += 1
            continue
        kind = known.get(str(entry.get("type")).strip().casefold())
        if kind is None:
            counts[WRONG_TYPE] += 1
            continue
        wanted[entry["mention"].strip(), kind] += 1
    mentions: dict[tuple[int, int, str], Mention] = {}
    starts, ends = ({edge[side] for edge in words(text)} for side in (0, 1))
    # sorting is stable: of entries of one length the one that is listed first
    listed = wanted.items() if nested else sorted(wanted.items(), key=lambda item: -len(item[0][0]))
    for (name, kind), times in listed:
        places = _places(text, name, starts, ends)
        if not places:
            counts[NOT_THERE] += times
            continue
        if not any(text[start:end] == name for start, end in places):
            counts[OTHER_CASE] += times
        if times > len(places):
            counts[NOT_THERE] += times - len(places)
        free = [place for place in places if nested or not _taken(*place, mentions.values())]
        if not free:
            counts[INSIDE] += min(times, len(places))
        for start, end in free if times == 1 else free[:times]:
            mentions[start, end, kind] = Mention(start, end, kind, text[start:end])
    return [mentions[key] for key in sorted(mentions)]


def _taken(start: int, end: int, mentions: Iterable[Mention]) -> bool:
    """Whether a place overlaps one of some mentions."""
    return any(start < one.end and one.start < end for one in mentions)


def _places(text: str, name: str, starts: set[int], ends: set[int]) -> list[tuple[int, int]]:
    """Where a name stands at word edges: as it is written, then in another case, of a symbol only where need be."""
    found: list[tuple[int, int]] = []
    for flags in (0, re.IGNORECASE):
        if found and is_symbol(name):
            break
        spans = (one.span() for one in re.finditer(re.escape(name), text, flags))
        found += [span for span in spans if span[0] in starts and span[1] in ends and span not in found]
    return found
