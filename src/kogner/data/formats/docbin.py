"""spaCy's DocBin (`.spacy`): packed documents of tokens, with entities and span groups.

Read are `Doc.ents` and every span group, the same span once; where spans are of ours (`kogner.spacy_docs`), their exact
characters, scores and ids. Written are all mentions as a span group, those without overlap as `Doc.ents` too, in tokens
of spaCy's English tokenizer, cut further where a mention or passage begins or ends, so that none moves. User data,
which may hold anything, is neither read nor written: ids of documents and passages stand in span groups of ours.

The format packs all documents at once, so that many documents need as much memory as they have text and tokens.
"""

from __future__ import annotations

import gc
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.artifacts import write_atomic
from kogner.data.formats.files import read_bytes, stem
from kogner.data.report import Report
from kogner.errors import InputError, MissingExtraError
from kogner.records import Document, Mention, Passage
from kogner.spacy_docs import MARK, VERSION, entities_of, set_entities

if TYPE_CHECKING:
    from spacy.tokens import Doc, DocBin, SpanGroup

PASSAGES = "passages"  # key of the span group that they are in
NO_LABEL = "span without a label"
EMPTY_SPAN = "span without a visible character"
BAD_SPAN = "span outside its document"
UNKNOWN_SPACES = "document whose blanks the file does not know: one between tokens"
NO_TEXT = "characters that UTF-8 cannot hold written as U+FFFD"
MOST_BYTES = 1 << 30  # unpacked; lists of lists may take sixty times that
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_KEPT = ("ORTH", "ENT_IOB", "ENT_TYPE", "ENT_KB_ID")  # attributes of tokens that are read


def is_docbin(head: bytes) -> bool:
    """Whether a file that begins so is a DocBin: a zlib stream of a map that begins with its version."""
    if head[:1] != b"\x78":
        return False
    try:
        return zlib.decompressobj().decompress(head, 64)[1:].lstrip(b"\0").startswith(b"\xa7version")
    except zlib.error:
        return False


def read(path: Path, *, report: Report) -> Iterator[Document]:
    """Yield the documents of a file. Ids that it does not tell are `<file>:<number>`.

    Raises InputError for what is no DocBin, is damaged, or holds more than MOST_BYTES; MissingExtraError without spaCy.
    """
    _spacy()
    from spacy.vocab import Vocab

    packed = read_bytes(path)
    _check_size(packed, path)
    found = _loaded(packed, path)
    number = 0
    docs = found.get_docs(Vocab())
    while True:
        number += 1
        try:
            with _collecting():
                doc = next(docs, None)
            document = None if doc is None else _document(doc, f"{stem(path)}:{number}", path, report)
        except InputError:
            raise
        except Exception as error:  # msgpack's and spaCy's own
            raise InputError(f"document {number} is damaged: {_said(error)}", path=path) from error
        if document is None:
            break
        yield document
    if number == 1:
        raise InputError("holds no document", path=path)


def _spacy() -> Any:
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("a DocBin", "spacy") from error
    return spacy


def _check_size(packed: bytes, path: Path) -> None:
    unpacker, size = zlib.decompressobj(), 0
    try:
        while packed and size <= MOST_BYTES:
            size += len(unpacker.decompress(packed, 1 << 20))
            packed = unpacker.unconsumed_tail
    except zlib.error as error:
        raise InputError(f"is no DocBin, or damaged ({error})", path=path) from error
    if size > MOST_BYTES:
        raise InputError(f"holds more than {MOST_BYTES:,} bytes, which are read at once; split it", path=path)


def _said(error: Exception) -> str:
    return f"{type(error).__name__} {str(error).splitlines()[0][:200] if str(error) else ''}".strip()


def _loaded(packed: bytes, path: Path) -> DocBin:
    """The file with the attributes of tokens that are read, and no other.

    `DocBin.from_bytes` takes parts that do not fit together, and loses tokens.
    """
    import numpy as np
    import srsly
    from spacy.tokens import DocBin

    found = DocBin(attrs=_KEPT)
    wanted = found.attrs  # words are the first
    try:
        with _collecting():
            message = srsly.msgpack_loads(zlib.decompress(packed))
        names = list(message["attrs"])
        lengths = np.frombuffer(message["lengths"], dtype="int32").tolist()
        tokens = np.frombuffer(message["tokens"], dtype="uint64").reshape(-1, len(names))
        spaces = np.frombuffer(message["spaces"], dtype=bool).reshape(-1, 1)
        columns = [number for number, name in enumerate(names) if name in wanted]
        if wanted[0] not in names or len(set(names)) < len(names):
            raise ValueError("its tokens have no words")
        if min(lengths, default=0) < 0 or not sum(lengths) == len(tokens) == len(spaces):
            raise ValueError("its parts have different numbers of tokens")
        if not all(isinstance(one, str) for one in message["strings"]):
            raise ValueError("its strings are no strings")
        ends = np.cumsum(lengths, dtype=np.int64)[:-1]
        found.attrs = [names[number] for number in columns]
        found.tokens = np.split(np.ascontiguousarray(tokens[:, columns]), ends) if lengths else []
        found.spaces = np.split(spaces, ends) if lengths else []
        found.strings = set(message["strings"])
        found.flags = list(message.get("flags", [{}] * len(lengths)))
        found.span_groups = list(message.get("span_groups", [b""] * len(lengths)))
        found.cats = [{}] * len(lengths)
        if not len(found.flags) == len(found.span_groups) == len(lengths):
            raise ValueError("its parts have different numbers of documents")
        if not all(isinstance(one, dict) for one in found.flags):
            raise ValueError("its flags are none")
    except Exception as error:  # msgpack's and numpy's own
        raise InputError(f"is no DocBin, or damaged: {_said(error)}", path=path) from error
    return found


@contextmanager
def _collecting() -> Iterator[None]:
    """Keeps Python's collector as it is: msgpack turns it off, and leaves it so where it fails."""
    collects = gc.isenabled()
    try:
        yield
    finally:
        (gc.enable if collects else gc.disable)()


def _document(doc: Doc, name: str, path: Path, report: Report) -> Document:
    if doc.has_unknown_spaces and len(doc):
        report.note(UNKNOWN_SPACES)
    text = doc.text
    mentions: list[Mention] = []
    spans: set[tuple[int, int, str]] = (
        set()
    )  # of tokens; an entity in `doc.ents` may be widened, its exact one is first
    types: frozenset[str] = frozenset()
    passages: tuple[Passage, ...] = ()
    for group in doc.spans.values():
        _check(group)
        if group.attrs.get(MARK) == VERSION and PASSAGES in group.attrs:
            name, types, passages = _about(group, text)
        elif MARK in group.attrs:
            for span, mention in zip(group, entities_of(group), strict=True):
                spans.add((span.start, span.end, span.label_))
                mentions.append(mention)
    for span in [*doc.ents, *(span for group in doc.spans.values() if MARK not in group.attrs for span in group)]:
        key = (span.start, span.end, span.label_)
        if key in spans:
            continue
        spans.add(key)
        if span.end > span.start:  # what the file says of characters may be anything
            last = doc[span.end - 1]
            start, end = doc[span.start].idx, last.idx + len(last)
        else:
            start = end = 0
        if not span.label_ or not text[start:end].strip():
            reason = EMPTY_SPAN if span.label_ else NO_LABEL
            report.skip(reason, repr(text[start:end][:60]), path=path, line=None, document=name, mention=span.label_)
            continue
        ids = tuple(span.kb_id_.split("|")) if span.kb_id_ else ()
        mentions.append(Mention(start, end, span.label_, text[start:end], ids))
    ordered = tuple(sorted(mentions, key=lambda one: one.key))
    return Document(name, text, ordered, types, passages=passages)


def _check(group: SpanGroup) -> None:
    """Raise ValueError for a span group with tokens that its document does not have, before a span is looked at."""
    length = len(group.doc)
    for number in range(len(group)):
        span = group[number]
        if not 0 <= span.start <= span.end <= length:
            raise ValueError(f"the span group {group.name!r} has tokens [{span.start}, {span.end}) of {length}")


def _about(group: SpanGroup, text: str) -> tuple[str, frozenset[str], tuple[Passage, ...]]:
    passages = []
    for start, end, infons in group.attrs[PASSAGES]:
        if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(text):
            raise ValueError(f"passage [{start!r}, {end!r}) of {len(text)} characters")
        passages.append(Passage(start, end, tuple((str(key), str(value)) for key, value in infons)))
    return str(group.attrs["id"]), frozenset(map(str, group.attrs["types"])), tuple(passages)


def write(path: Path, documents: Iterable[Document], *, report: Report) -> None:
    """Write documents, all or nothing; reading gives the same texts, mentions, ids, scores and passages.

    Raises MissingExtraError without spaCy.
    """
    spacy = _spacy()
    from spacy.tokens import DocBin

    tokenizer = spacy.blank("en").tokenizer
    found = DocBin(attrs=_KEPT)
    for document in documents:
        found.add(_doc(_utf8(document, report), tokenizer, report))
    write_atomic(path, found.to_bytes())


def _utf8(document: Document, report: Report) -> Document:
    """The document without halves of characters, which a file could not hold; offsets stay."""

    def plain(text: str) -> str:
        changed = _SURROGATE.sub("\ufffd", text)
        if changed != text:
            report.note(NO_TEXT)
        return changed

    mentions = tuple(
        replace(one, type=plain(one.type), ids=tuple(map(plain, one.ids)), entity=one.entity and plain(one.entity))
        for one in document.mentions
    )
    passages = tuple(
        replace(one, infons=tuple((plain(key), plain(value)) for key, value in one.infons)) for one in document.passages
    )
    types = frozenset(map(plain, document.types))
    return Document(plain(document.id), plain(document.text), mentions, types, passages=passages)


def _doc(document: Document, tokenizer: Any, report: Report) -> Doc:
    from spacy.tokens import SpanGroup

    places = [(one.start, one.end) for one in document.mentions]
    places += [(one.start, one.end) for one in document.passages]
    doc = _tokens(document.text, places, tokenizer)
    set_entities(doc, document.mentions, report=report)
    spans = []
    for passage in document.passages:
        if passage.end > passage.start:
            label = next((value for key, value in passage.infons if key == "type"), "")
            span = doc.char_span(passage.start, passage.end, label=label)
            if span is not None:
                spans.append(span)
    about = {
        MARK: VERSION,
        PASSAGES: [[one.start, one.end, [list(pair) for pair in one.infons]] for one in document.passages],
        "id": document.id,
        "types": sorted(document.types),
    }
    doc.spans[PASSAGES] = SpanGroup(doc, name=PASSAGES, spans=spans, attrs=about)
    return doc


def _tokens(text: str, places: Sequence[tuple[int, int]], tokenizer: Any) -> Doc:
    """The tokens of a text, cut where a place begins or ends inside one. places: half-open code points.

    A blank belongs to the token before it, but where a place begins with it or ends behind it.
    """
    from spacy.tokens import Doc

    made = tokenizer(text)
    starts, ends = ({place[side] for place in places} for side in (0, 1))
    tokens = {edge for token in made for edge in (token.idx, token.idx + len(token))}
    cuts = sorted({0, len(text)} | starts | ends | tokens)
    words: list[str] = []
    spaces: list[bool] = []
    for start, end in pairwise(cuts):
        if words and text[start:end] == " " and not spaces[-1] and start not in starts and end not in ends:
            spaces[-1] = True
        else:
            words.append(text[start:end])
            spaces.append(False)
    return Doc(made.vocab, words=words, spaces=spaces)
