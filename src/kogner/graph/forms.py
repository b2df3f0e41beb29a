"""Names and text in the one form in which they are compared by the scanner, and what that form leaves open.

The key of a name is its words without anything between them, each folded, with Greek letters spelt out, without a
plural ending and without a possessive, so that `IL-2`, `IL 2` and `IL2` have one key. What a key forgets (case, where
the blanks stood) is looked at afterwards, in `agrees`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from kogner.graph.lexicon import GREEK_LETTERS, normalise
from kogner.text import words_with_blanks

SYMBOL_LETTERS = 6  # a name of at most so many characters with a capital behind its first is a symbol: WAS, TRalpha
SHOUTED_LETTERS = 4  # text of at most so many capitals is a symbol as well: CAT is not a cat

_APOSTROPHES = frozenset("'\u2019\u02bc")
_ES = re.compile(r"(?:ss|x|ch|sh|us)es$")
_SES = re.compile(r"(?:sta|no|bo|to|ro|do|co|ly|ne|ta)ses$")  # metastases, stenoses, thromboses ...
_CASED = str.maketrans({**GREEK_LETTERS, **{chr(code).upper(): name for code, name in GREEK_LETTERS.items()}})
_SPELT = frozenset(letter for letter in GREEK_LETTERS.values() if len(letter) > 3)
_BREAK = re.compile(r"[\s\-_/\u00ad\u2010-\u2015\u2044\u2212]+")
_TAIL = re.compile(r"\s*\((?:disease|disorder|finding|organism|substance)\)$", re.IGNORECASE)

_OWN_SHORT = re.compile(r"(?<=[^\W\d_]{2}) \((?![IVX]+\))[A-Z][A-Z0-9-]{1,7}\)$")


def stem(word: str) -> str:
    """The piece of a key that a word of `kogner.text.words` gives; '' for hyphens, slashes and the like.

    >>> [stem(word) for word in ("Tumours", "metastases", "allergies", "β", "AIDS", "-")]
    ['tumour', 'metastasis', 'allergy', 'beta', 'aid', '']
    """
    piece = normalise(word)
    if not piece or _BREAK.fullmatch(piece):
        return ""
    if len(piece) < 4 or not piece.endswith("s") or piece.endswith(("ss", "us", "is")) or not piece.isalpha():
        return piece
    if piece.endswith("ies") and len(piece) > 5:
        return f"{piece[:-3]}y"
    if len(piece) > 6 and _SES.search(piece):
        return f"{piece[:-2]}is"
    return piece[:-2] if len(piece) > 5 and _ES.search(piece) else piece[:-1]


@dataclass(frozen=True, slots=True)
class Form:
    """A text as its key. words: half-open character spans. begins: per word, where its piece starts in the key.

    A word without a piece of its own (a hyphen, a possessive) begins where the next one does.
    """

    key: str
    words: list[tuple[int, int]]
    begins: list[int]
    pieces: list[str]


class Stems(dict[str, str]):
    """`stem` of words, each worked out once; begins anew when it holds `limit` words."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __missing__(self, word: str) -> str:
        if len(self) >= self._limit:
            self.clear()
        found = self[word] = stem(word)
        return found


def pieces(text: str, *, stem: Callable[[str], str] = stem) -> tuple[list[str], list[str]]:
    """The words of a text, each with the blanks behind it, and the piece of each; '' where it has none.

    stem: such as the look-up of a `Stems`.
    """
    parts = words_with_blanks(text)
    return parts, pieces_of(parts, stem=stem)


def pieces_of(parts: list[str], *, stem: Callable[[str], str] = stem) -> list[str]:
    """The pieces of the words of `words_with_blanks`."""
    found = list(map(stem, parts))
    if not _APOSTROPHES.isdisjoint(found):
        for number, piece in enumerate(found):
            if piece in _APOSTROPHES and number and parts[number - 1][-1].isalpha():  # not 5'-AMP
                found[number : number + 2] = _possessive(parts[number : number + 2], found[number : number + 2])
    return found


def _possessive(parts: list[str], found: list[str]) -> list[str]:
    """The pieces of an apostrophe behind a letter and of what follows; the s of a possessive loses its piece."""
    if len(parts) == 1 or parts[0][-1].isspace():
        return ["", *found[1:]]
    return ["", ""] if parts[1].rstrip() in ("s", "S") else found


def form(text: str, *, stem: Callable[[str], str] = stem) -> Form:
    """The key of a text and where its words lie in it. stem: as of `pieces`."""
    parts, found = pieces(text, stem=stem)
    starts = accumulate(map(len, parts), initial=0)
    begins = accumulate(map(len, found), initial=0)
    words = [
        (start, start + len(part.rstrip()), begin, piece)
        for part, start, begin, piece in zip(parts, starts, begins, found, strict=False)
        if not part.isspace()
    ]
    return Form("".join(found), [one[:2] for one in words], [one[2] for one in words], [one[3] for one in words])


def cased(text: str) -> str:
    """A text without blanks and hyphens, Greek letters spelt out, its case kept.

    >>> cased("TNF-α")
    'TNFalpha'
    """
    return _BREAK.sub("", text if text.isascii() else unicodedata.normalize("NFKC", text).translate(_CASED))


def is_symbol(name: str, *, letters: int = SYMBOL_LETTERS) -> bool:
    """Whether a name is an abbreviation or gene symbol, whose case is part of it.

    >>> [name for name in ("WAS", "TRα", "p53", "Pain", "Lyme disease") if is_symbol(name)]
    ['WAS', 'TRα', 'p53']
    """
    plain = cased(name)
    if len(plain) <= 2:
        return True
    if len(plain) > letters + (plain != name and not name.isascii()) * 4:
        return False
    return plain[1:] != plain[1:].lower() or any(character.isdigit() for character in plain)


def agrees(text: str, name: str, *, case: bool = True) -> bool:
    """Whether a text with the key of a name is that name.

    Hyphens come and go, and blanks do between a letter and a digit and at a Greek letter, so that `NF-kappa B` is
    NF-κB; elsewhere a blank of one has to be a blank or a hyphen of the other, so that `at P` is not ATP. case: symbols
    have to be written as they are, but for a plural s.
    """
    if text == name:
        return True
    if case and (is_symbol(name) or (text.isupper() and is_symbol(text, letters=SHOUTED_LETTERS))):
        ours, theirs = cased(text), cased(name)
        if ours != theirs and ours != f"{theirs}s":
            return False
    if text.lower() == name.lower():
        return True
    text_blanks, text_breaks = _breaks(text)
    name_blanks, name_breaks = _breaks(name)
    return text_blanks <= name_breaks and name_blanks <= text_breaks


@lru_cache(maxsize=1024)  # a text is held against one name after another
def _breaks(text: str) -> tuple[Set[int], Set[int]]:
    """Places in a text's key where a blank stood that the other needs, and where anything did or may do.

    May do: a letter meets a digit, a Greek letter begins or ends. Not needed: those, and blanks beside a Greek letter
    that is spelt out in four letters or more (`PPAR gamma` is PPARgamma, `chi ral` is not chiral).
    """
    if text.isalpha() and text.isascii():
        return frozenset(), frozenset()
    made = form(text)
    blanks: set[int] = set()
    breaks: set[int] = set()
    for number in range(1, len(made.words)):
        at = made.begins[number]
        if not made.pieces[number] or not 0 < at < len(made.key):
            if made.pieces[number - 1]:
                breaks.add(at)
            continue
        spelt = made.pieces[number - 1] in _SPELT or made.pieces[number] in _SPELT
        if made.words[number - 1][1] < made.words[number][0] and not spelt:
            blanks.add(at)
        breaks.add(at)
    if not text.isascii():
        for (start, end), begin in zip(made.words, made.begins, strict=True):
            for number, character in enumerate(text[start:end], start):
                if spelling := GREEK_LETTERS.get(ord(character.lower()[0])):
                    at = begin + len(normalise(text[start:number]))
                    breaks.update((at, at + len(spelling)))
    key = made.key
    breaks.update(at for at in range(1, len(key)) if key[at - 1].isdigit() != key[at].isdigit())
    return blanks - {at for at in blanks if key[at - 1].isdigit() != key[at].isdigit()}, breaks


def variants(name: str) -> list[str]:
    """The name, and what is made of it: inverted names in order, without a tail such as `(disease)`.

    A name that ends in its own abbreviation, `End-Stage Renal Disease (ESRD)`, is indexed without it only.

    >>> variants("Lymphoma, Large B-Cell, Diffuse")
    ['Lymphoma, Large B-Cell, Diffuse', 'Diffuse Large B-Cell Lymphoma']
    """
    plain = _OWN_SHORT.sub("", name)
    found = [plain]
    name, plain = plain, _TAIL.sub("", plain)
    if plain and plain != name:
        found.append(plain)
    parts = plain.split(", ")
    if 1 < len(parts) <= 4 and all(part.strip() and "," not in part for part in parts):
        found.append(" ".join(part.strip() for part in reversed(parts)))
    return found
