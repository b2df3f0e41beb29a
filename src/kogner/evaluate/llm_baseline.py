"""Zero-shot recognition by a language model, scored as a student is (arXiv 2503.15737, table 1).

The model is given a text and the list of types, and answers with mentions and types. What it says is laid on the text:
an entry is a mention at the next place of its text that no earlier entry of the same text and type took; an entry that
is given once stands for all its places. What cannot be used is counted apart: truncated and unparsable answers,
entries of other types, entries whose text is not there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kogner.data.prompts import MENTIONS
from kogner.records import Document, Mention
from kogner.text import words

if TYPE_CHECKING:
    from kogner.llm.asking import Asker
    from kogner.llm.request import ModelId, Request

VERSION = 2  # of the prompt and of the form of its answer
WRONG_TYPE, NOT_THERE = "entry of a type that was not asked for", "entry that is not in the text"
BAD_ENTRY, BAD_FORM = "entry that is no mention with a type", "answer without a list of entities"
OTHER_CASE = "entry in another case than the text"
_SYSTEM = """
You recognise entities in biomedical text. You are given a text and a list of entity types.
- List every entity of these types in the order of the text, each time it occurs, also inside a longer one.
- "mention" is copied from the text character by character; "type" is one of the given types, as it is written there.
- Do not list anything else. An empty list is a good answer where there is none.
Answer with one JSON object that holds the list "entities"; each of its entries has "mention" and "type".
"""


def question(
    document: Document, types: Sequence[str], model: ModelId, *, max_tokens: int, temperature: float | None
) -> Request:
    """What is asked about one text."""
    from kogner.llm.request import Request

    user = f"Types: {', '.join(types)}\nText: {document.text}"
    return Request(model, _SYSTEM.strip(), user, answer_form(types), max_tokens, temperature)


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
    progress: Callable[[], None] = lambda: None,
) -> tuple[list[Document], Counter[str]]:
    """The documents with the mentions that the model gave, and counts of what could not be used, by reason.

    A document whose request failed, or whose answer cannot be read, has no mention.
    """
    from kogner.llm.answers import NotJsonError, meant, parse_reply
    from kogner.llm.request import Failure

    found: dict[str, tuple[Mention, ...]] = {}
    counts = Counter[str]()
    by_id = {document.id: document for document in documents}
    requests = (
        (one.id, question(one, types, asker.model.id, max_tokens=max_tokens, temperature=temperature))
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
        found[name] = tuple(aligned(entries, by_id[name].text, types, counts))
    return [
        Document(one.id, one.text, found.get(one.id, ()), one.types) for one in documents
    ], counts  # fmt: skip


def aligned(entries: Sequence[Any], text: str, types: Sequence[str], counts: Counter[str]) -> list[Mention]:
    """The mentions that entries `{"mention", "type"}` stand for; what cannot be used is counted by reason.

    >>> [(one.start, one.type) for one in aligned([{"mention": "IL-2", "type": "Gene"}], "IL-2, IL-2", ["gene"],
    ...                                           Counter())]
    [(0, 'gene'), (6, 'gene')]
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
    for (name, kind), times in wanted.items():
        places = list(_places(text, name, starts, ends))
        if not places:
            counts[NOT_THERE] += times
            continue
        if text[places[0][0] : places[0][1]] != name:
            counts[OTHER_CASE] += times
        if times > len(places):
            counts[NOT_THERE] += times - len(places)
        for start, end in places if times == 1 else places[:times]:
            mentions[start, end, kind] = Mention(start, end, kind, text[start:end])
    return [mentions[key] for key in sorted(mentions)]


def _places(text: str, name: str, starts: set[int], ends: set[int]) -> Iterator[tuple[int, int]]:
    """Where a name stands at word edges, as it is written; where it does nowhere, in any case."""
    for flags in (0, re.IGNORECASE):
        found = [one.span() for one in re.finditer(re.escape(name), text, flags)]
        found = [(start, end) for start, end in found if start in starts and end in ends]
        if found:
            yield from found
            return
