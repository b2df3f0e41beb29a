"""Entities in spaCy's documents: `Doc.ents` without overlap, and all of them in a span group of `Doc.spans`.

spaCy's spans begin and end where tokens do. An entity that does not is widened to whole tokens, and where it really
begins and ends stands in the attributes of the span group: `offsets` (half-open code points), `scores`, `entity_scores`
and `ids`, one entry for each span of the group, in its order. They are written and read with the document, which user
data is not by default, and tell apart two entities that have the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kogner.records import Link, Mention

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, SpanGroup

    from kogner.data.report import Report

KEY = "kogner"
MARK = "kogner"  # attribute of the span groups that are ours; its value is the version of the others
VERSION = 1
COLUMNS = ("offsets", "scores", "entity_scores", "ids")
ENTITIES = "entities"  # one more, not in older files: `kb_id_` does not tell an entity from the ids that are the same
WIDENED = "entity off token borders, widened to whole tokens in Doc.ents and Doc.spans"
OVERLAPS = "entity in Doc.spans but not in Doc.ents, since it overlaps another"
REPLACED = "entity of another component taken out of Doc.ents, since one of ours overlaps it"
NOT_SET = "entity in Doc.spans but not in Doc.ents, since one of another component overlaps it"


def set_entities(
    doc: Doc, mentions: Sequence[Mention], *, report: Report, key: str = KEY, overwrite: bool = True
) -> None:
    """Put mentions of a document's text into `doc.spans[key]`, and into `doc.ents` those that do not overlap.

    Of mentions that overlap, `doc.ents` gets the one with the best score, of equal ones the longest. `kb_id_` is the
    entity that a mention is linked to, else its ids with `|` between them.
    overwrite: whether an entity that is in `doc.ents` already gives way to one of ours. Whatever is widened or not in
    `doc.ents` is noted in `report`.
    """
    from spacy.tokens import SpanGroup

    spans = [_span(doc, one) for one in mentions]
    widened = sum(
        (span.start_char, span.end_char) != (one.start, one.end) for span, one in zip(spans, mentions, strict=True)
    )
    attributes: dict[str, Any] = {
        MARK: VERSION,
        "offsets": [[one.start, one.end] for one in mentions],
        "scores": [one.score for one in mentions],
        "entity_scores": [one.links[0].score if one.links else None for one in mentions],
        "ids": [list(one.ids) for one in mentions],
        ENTITIES: [one.entity for one in mentions],
    }
    before = [span for span in doc.ents if not _is_ours(span, doc.spans.get(key))]
    doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs=attributes)
    order = sorted(
        range(len(spans)),
        key=lambda number: (-(mentions[number].score or 0), spans[number].start - spans[number].end, number),
    )
    taken = [False] * len(doc)
    others = [] if overwrite else _free(before, taken)
    not_set = sum(any(taken[span.start : span.end]) for span in spans)
    ours = _free([spans[number] for number in order], taken)
    if overwrite:
        others = _free(before, taken)
    for reason, count in (
        (WIDENED, widened),
        (REPLACED, len(before) - len(others)),
        (NOT_SET, not_set),
        (OVERLAPS, len(spans) - len(ours) - not_set),
    ):
        if count:
            report.note(reason, count)
    doc.set_ents(sorted([*ours, *others], key=lambda span: span.start))


def _span(doc: Doc, mention: Mention) -> Span:
    identifier = mention.entity if mention.entity is not None else "|".join(mention.ids)
    span = doc.char_span(
        mention.start, mention.end, label=mention.type, kb_id=identifier or "", alignment_mode="expand"
    )
    if span is None or span.start >= span.end:
        raise ValueError(f"no tokens at [{mention.start}, {mention.end}) of {len(doc.text)} characters")
    return span


def _free(spans: Iterable[Span], taken: list[bool]) -> list[Span]:
    """Those spans of which no token is taken yet; takes theirs."""
    found = []
    for span in spans:
        if not any(taken[span.start : span.end]):
            taken[span.start : span.end] = [True] * (span.end - span.start)
            found.append(span)
    return found


def _is_ours(span: Span, group: SpanGroup | None) -> bool:
    wanted = (span.start, span.end, span.label)
    return group is not None and MARK in group.attrs and any((s.start, s.end, s.label) == wanted for s in group)


def entities_of(group: SpanGroup) -> list[Mention]:
    """The mentions that a span group of ours holds, with their exact characters. Raises ValueError for another's."""
    columns = _columns(group)
    text = group.doc.text
    return [_entity(span, text, *cells) for span, *cells in zip(group, *columns, strict=True)]


def entities_at(span: Span) -> list[Mention]:
    """The mentions, of all groups of ours, that have the tokens and the label of a span."""
    found = []
    for group in groups_of(span.doc):
        columns = _columns(group)
        for number, one in enumerate(group):
            if (one.start, one.end, one.label) == (span.start, span.end, span.label):
                found.append(_entity(one, span.doc.text, *(column[number] for column in columns)))
    return found


def _columns(group: SpanGroup) -> list[list[Any]]:
    columns = [group.attrs.get(name) for name in COLUMNS]
    columns.append(group.attrs.get(ENTITIES, [None] * len(group)))
    if MARK not in group.attrs or any(not isinstance(one, list) or len(one) != len(group) for one in columns):
        raise ValueError(f"the span group {group.name!r} is none of KoGNER's")
    return columns  # type: ignore[return-value]


def _entity(span: Span, text: str, offsets: Any, score: Any, fits: Any, ids: Any, entity: Any) -> Mention:
    start, end = offsets
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise ValueError(f"a span group has no characters [{start!r}, {end!r})")
    linked = span.kb_id_ if span.kb_id_ and span.kb_id_ != "|".join(ids) else None
    if isinstance(entity, str) and entity == span.kb_id_:  # unless another component has set another one
        linked = entity
    links = () if linked is None or fits is None else (Link(linked, float(fits)),)
    certain = None if score is None else float(score)
    return Mention(start, end, span.label_, text[start:end], tuple(map(str, ids)), linked, certain, links)


def groups_of(doc: Doc) -> list[SpanGroup]:
    """The span groups of a document that hold entities of ours."""
    return [group for group in doc.spans.values() if MARK in group.attrs]
