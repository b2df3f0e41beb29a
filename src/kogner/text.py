"""Words and sentences of a text, as exact half-open spans of code points.

Every run of letters and digits is a word and every other visible character is one of its own, each with the combining
marks behind it, so that no mention ends between a letter and its accent. `IL-2` can be reached in `IL-2-mediated`:
measured on BC5CDR train, 0 of 9,385 gold mentions lie off word edges (690 with the `\\w+` splitter that keeps hyphens
inside words). Sentences come from sentencex, which cuts no gold mention of BC5CDR or NCBI.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import sentencex

from kogner.errors import ConfigError
from kogner.records import Document, Mention, Sentence

Splitter = Callable[[str], list[tuple[int, int]]]  # text -> half-open spans of its words, in order

OFF_WORD_EDGES = "off word edges"
CROSSES_SENTENCES = "crosses a sentence border"
WINDOW = 2048  # characters given to sentencex at once


def _marks() -> str:
    """Ranges of a character class: all combining marks (categories Mn, Mc, Me), which the re module cannot name."""
    codes = [code for code in _MARK_BLOCKS if unicodedata.category(chr(code)).startswith("M")]
    firsts = [code for code, last in zip(codes, [-1, *codes], strict=False) if code != last + 1]
    lasts = [code for code, after in zip(codes, [*codes[1:], -1], strict=True) if code != after - 1]
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in zip(firsts, lasts, strict=True))


_MARK_BLOCKS = (*range(0x300, 0x20000), *range(0xE0000, 0xE1000))  # there are none elsewhere, and all take 0.1 s
_MARKS = _marks()
_MARK = re.compile(f"[{_MARKS}]")
# The re module goes through all ranges above U+FFFF for each character, one takes a hundredth of the time.
_NARROW = "".join(re.findall("[\0-\uffff]-[\0-\uffff]", _MARKS))
_PERHAPS_MARK = re.compile(f"[{_NARROW}\U00010000-\U0010ffff]")
_WORD = re.compile(rf"[^\W_]+(?:[{_MARKS}]+[^\W_]+)*[{_MARKS}]*|(?:[^\w\s]|_)[{_MARKS}]*")
_WORD_WITH_BLANKS = re.compile(rf"(?:{_WORD.pattern})\s*|\s+")
# The same of text without combining marks, in half of the time.
_PLAIN_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
_PLAIN_WORD_WITH_BLANKS = re.compile(rf"(?:{_PLAIN_WORD.pattern})\s*|\s+")
# And of ASCII, in 0.6 of that; the blanks of a str are more than those of the flag re.ASCII.
_ASCII_BLANK = r"\s\x1c-\x1f"
_ASCII_WORD = re.compile(rf"[A-Za-z0-9]+|[^A-Za-z0-9{_ASCII_BLANK}]", re.ASCII)
_ASCII_WORD_WITH_BLANKS = re.compile(
    rf"[A-Za-z0-9]+[{_ASCII_BLANK}]*|[^A-Za-z0-9{_ASCII_BLANK}][{_ASCII_BLANK}]*|[{_ASCII_BLANK}]+", re.ASCII
)
_GLINER_WORD = re.compile(r"\w+(?:-\w+)*|\S")  # `_` is one of \w
_LINE_END = r"(?:\r\n|\n|\r(?!\n))"
_VISIBLE = re.compile(r"\S")
_BLANK_LINES = re.compile(rf"{_LINE_END}(?:[^\S\r\n]*{_LINE_END})+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # sentencex takes UTF-8 only
_WIDE_BLANK = re.compile(r"[^\S\t\r\n ]")  # sentencex 1.0.14 panics on blanks of more than one byte (U+00A0, U+2009)


def words(text: str) -> list[tuple[int, int]]:
    """Half-open spans of the words of a text: together they hold every non-blank character exactly once."""
    pattern = _for(text, _ASCII_WORD, _PLAIN_WORD, _WORD)
    return [match.span() for match in pattern.finditer(text)]


def words_with_blanks(text: str) -> list[str]:
    """The words of a text, each with the blanks behind it: put together they are the text. Blanks may come first."""
    pattern = _for(text, _ASCII_WORD_WITH_BLANKS, _PLAIN_WORD_WITH_BLANKS, _WORD_WITH_BLANKS)
    found: list[str] = pattern.findall(text)
    return found


def _for(text: str, ascii_only: re.Pattern[str], plain: re.Pattern[str], marked: re.Pattern[str]) -> re.Pattern[str]:
    """The fastest pattern that a text allows."""
    if text.isascii():
        return ascii_only
    return marked if _PERHAPS_MARK.search(text) and _MARK.search(text) else plain


def gliner_words(text: str) -> list[tuple[int, int]]:
    """Half-open spans of the words that GLiNER checkpoints were trained on (its `whitespace` splitter).

    Letters, digits and `_` are one word, also over single hyphens between them; every other visible character is one
    of its own. `IL-2` cannot be reached in `IL-2-mediated`.
    """
    return [match.span() for match in _GLINER_WORD.finditer(text)]


SPLITTERS: dict[str, Splitter] = {"kogner": words, "gliner": gliner_words}


def splitter(name: str) -> Splitter:
    """The word splitter of that name. Raises ConfigError, naming those there are, for any other."""
    if name not in SPLITTERS:
        raise ConfigError(f"word splitter {name!r} is not known; known are {', '.join(SPLITTERS)}")
    return SPLITTERS[name]


def sentences(text: str) -> list[tuple[int, int]]:
    """Half-open spans of the sentences of a text, without blanks at their ends, in order and without overlap.

    Together they hold every non-blank character exactly once, and none ends inside a word. A blank line ends a
    sentence; a single line break does so only where the sentence ends anyway. Linear in the length of the text.
    """
    found: list[tuple[int, int]] = []
    start = 0
    for blank in _BLANK_LINES.finditer(text):
        found.extend(_paragraph(text, start, blank.start()))
        start = blank.end()
    found.extend(_paragraph(text, start, len(text)))
    return found


def _paragraph(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences of text[start:end], which holds no blank line."""
    body = text[start:end]
    if not body or body.isspace():
        return
    began = 0
    for border in [*_borders(_WIDE_BLANK.sub(" ", _SURROGATE.sub("\ufffd", body))), len(body)]:
        if border < len(body) and not _ends_sentence(body, border):
            continue
        piece = body[began:border]
        visible = piece.strip()
        if visible:
            at = start + began + len(piece) - len(piece.lstrip())
            yield at, at + len(visible)
        began = border


def _ends_sentence(body: str, border: int) -> bool:
    """Whether a border of sentencex is taken: not inside a word, and not at the `5 . 8` of a tokenised text.

    The latter removes 501 of the 519 wrong borders in the 5,038 tokenised sentences of BC2GM test.
    """
    if _MARK.match(body, border) and not body[border - 1].isspace():
        return False
    if body[border].isalnum():
        base = border - 1
        while base > 0 and _MARK.match(body, base):
            base -= 1
        if body[base].isalnum():
            return False
    following = _VISIBLE.search(body, border)
    tokenised = body[border - 1] == "." and body[border - 2 : border - 1] == " "
    return not (tokenised and following and (following[0].isdigit() or following[0].islower()))


def _borders(body: str) -> Iterator[int]:
    """Where sentencex ends its sentences in `body`, window by window, each beginning where a sentence does.

    Given a long text at once, sentencex 1.0.14 finds far too few sentences (JNLPBA train as one line: 5,531 of
    16,700) and loses blanks between the chunks it works in. The last sentence of a window may be cut by its end and is
    looked at again in the next one; where a window holds no border, its last quarter is.
    """
    begin = 0
    while begin < len(body):
        end = min(begin + WINDOW, len(body))
        found = list(_window(body, begin, end))
        last = end == len(body)
        yield from (found if last else found[:-1])
        if last:
            return
        begin = found[-2] if len(found) > 1 else end - WINDOW // 4


def _window(body: str, begin: int, end: int) -> Iterator[int]:
    """Ends of the sentences of body[begin:end]; what sentencex gives is found again there rather than added up."""
    position = begin
    for piece in _pieces(body[begin:end]):
        visible = piece.strip()
        if not visible:
            continue
        while position < end and body[position].isspace():
            position += 1
        if not body.startswith(visible, position):
            return
        position += len(visible)
        yield position


def _pieces(body: str) -> list[str]:
    try:
        pieces: list[str] = sentencex.segment("en", body)
    except BaseException as error:
        # A panic of its Rust code is no Exception; one sentence for the paragraph is better than losing the text.
        if type(error).__name__ != "PanicException":
            raise
        return []
    return pieces


def to_sentences(
    document: Document, *, keep_mentions: bool = False, context: int = 0, words: Splitter = words
) -> tuple[list[Sentence], Counter[str]]:
    """Cut a document into sentences with their words and gold spans.

    keep_mentions: join two sentences where a gold mention crosses their border. For training only: with the default
    the cut never looks at the mentions, as it must be in prediction and scoring.
    context: join neighbouring sentences as long as they have at most so many words together, so that a model reads
    them with one another; 0 keeps every sentence by itself. words: how to cut into words, see `splitter`.
    Returns the sentences that hold at least one word, and how many mentions cannot be reached, by reason; a mention
    that is reached twice in a document (same start, end and type) gives two spans.
    """
    spans = sentences(document.text)
    if keep_mentions:
        spans = _joined(spans, (*document.mentions, *document.unsure))
    if context:
        spans = _grouped(spans, document.text, context, words)
    cut: list[Sentence] = []
    for start, end in spans:
        inside = words(document.text[start:end])
        texts = tuple(document.text[start + left : start + right] for left, right in inside)
        at = tuple((start + left, start + right) for left, right in inside)
        cut.append(Sentence(document.id, at, texts, (), document.types))
    if not document.mentions and not document.unsure:
        return cut, Counter()
    gold: list[list[tuple[int, int, str, str | None]]] = [[] for _ in cut]
    unreachable: Counter[str] = Counter()
    for mention, place in zip(document.mentions, reach(cut, document.mentions), strict=True):
        if isinstance(place, str):
            unreachable[place] += 1
        else:
            gold[place[0]].append((place[1], place[2], mention.type, mention.entity))
    unsure: list[list[tuple[int, int, str]]] = [[] for _ in cut]
    for mention, place in zip(document.unsure, reach(cut, document.unsure), strict=True):
        if isinstance(place, str):
            unreachable[f"unsure span, {place}"] += 1
        else:
            unsure[place[0]].append((place[1], place[2], mention.type))
    filled = [
        replace(sentence, spans=tuple(spans_of), unsure=tuple(unsure_of))
        for sentence, spans_of, unsure_of in zip(cut, gold, unsure, strict=True)
    ]
    return filled, unreachable


def reach(cut: Sequence[Sentence], mentions: Sequence[Mention]) -> list[tuple[int, int, int] | str]:
    """Where each mention lies in the sentences of its document: (sentence, first word, last word + 1).

    Where no run of words of one sentence is exactly the mention, the reason stands in its place: OFF_WORD_EDGES or
    CROSSES_SENTENCES.
    """
    first_word: dict[int, tuple[int, int]] = {}  # character where a word starts -> (sentence, word)
    last_word: dict[int, tuple[int, int]] = {}  # character where a word ends -> (sentence, word + 1)
    for number, sentence in enumerate(cut):
        for index, (left, right) in enumerate(sentence.words):
            first_word[left] = (number, index)
            last_word[right] = (number, index + 1)
    places: list[tuple[int, int, int] | str] = []
    for mention in mentions:
        first, last = first_word.get(mention.start), last_word.get(mention.end)
        if first is None or last is None:
            places.append(OFF_WORD_EDGES)
        elif first[0] != last[0]:
            places.append(CROSSES_SENTENCES)
        else:
            places.append((first[0], first[1], last[1]))
    return places


def _joined(spans: Sequence[tuple[int, int]], mentions: Sequence[Mention]) -> list[tuple[int, int]]:
    """The sentence spans with those joined that one mention runs across."""
    ends = [end for _, end in spans]
    starts = [start for start, _ in spans]
    glued: set[int] = set()  # sentence i goes on in sentence i + 1
    for mention in mentions:
        first = bisect_left(ends, mention.start + 1)
        beyond = bisect_left(starts, mention.end)
        glued.update(range(first, beyond - 1))
    joined: list[tuple[int, int]] = []
    for index, (start, end) in enumerate(spans):
        if index and index - 1 in glued:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _grouped(spans: Sequence[tuple[int, int]], text: str, limit: int, words: Splitter) -> list[tuple[int, int]]:
    """The sentence spans with neighbours joined, from the first one on, while they have at most `limit` words."""
    grouped: list[tuple[int, int]] = []
    held = 0
    for start, end in spans:
        count = len(words(text[start:end]))
        if grouped and held + count <= limit:
            grouped[-1] = (grouped[-1][0], end)
            held += count
        else:
            grouped.append((start, end))
            held = count
    return grouped
