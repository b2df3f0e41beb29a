"""What makes the check fast gives what the plain way gives."""

import re
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.data import check_leaked
from kogner.data.sanity import first_place
from kogner.data.similar import hashes_of
from kogner.data.written import Written
from kogner.text import _PLAIN_WORD, words, words_with_blanks

PARTS = ["a", "b", "-", " ", "\t", "\x1c", "\x85", "_", "é", "́", "β", "IL-2", "'s", ".", "\ud800", "ß", "İ"]
TEXTS = st.lists(st.sampled_from(PARTS)).map("".join) | st.text()
LEAKS = ["Sure", ":", "sure!", "oKay:", "Here is ", "a sentence", "```", "$types", "$5", '{ "', '"ner":', "As an AI",
         " ", "the given ", "entities", "entity 1", "entitı 1", "answer", "x", "ſure:", "**", "\n", "1", ". ",
         "relation", "here's", " an example", ", ", "language model", " I", "-", "of course", "\x1c", "entity types",
         "_", "“", "ENTİTİES", "o\u212aay:", "K", "β", "—"]  # fmt: skip


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_words_are_those_of_the_plain_pattern(text):
    assert words(text) == [match.span() for match in _PLAIN_WORD.finditer(text)]
    assert "".join(words_with_blanks(text)) == text
    assert [part.rstrip() for part in words_with_blanks(text) if not part.isspace()] == [
        text[a:b] for a, b in words(text)
    ]


@given(TEXTS, st.lists(st.sampled_from(PARTS), max_size=3).map("".join))
def test_exact_places_are_those_of_a_plain_search(text, name):
    spans, searched = words(text), [name[start:end] for start, end in words(name)]
    tokens = [text[start:end] for start, end in spans]
    found, at = [], 0
    while searched and at + len(searched) <= len(tokens):
        if tokens[at : at + len(searched)] == searched:
            found.append((spans[at][0], spans[at + len(searched) - 1][1]))
            at += len(searched)
        else:
            at += 1
    assert Written(text).exact(name) == found
    assert Written(text).words == len(spans)
    first = first_place(tokens, searched)
    assert (first is None) == (not found) and (first is None or spans[first][0] == found[0][0])


NAMED = st.lists(st.sampled_from(["one", "Two", "drei", "β", "\ud800", "stone", "ones", "one-one"])).map(" ".join)


@given(TEXTS | NAMED, st.sampled_from(["", "one"]))
@settings(deadline=None)
def test_hashes_are_those_of_the_runs(text, name):
    plain = re.sub(rf"(?<![^\W_]){name}(?![^\W_])", " ", text.casefold()) if name else text.casefold()
    found = re.findall(r"[^\W_]+", plain)
    runs = [found[at : at + 4] for at in range(len(found) - 3)] if len(found) > 4 else [found]
    wanted = sorted({crc32(" ".join(run).encode(errors="replace")) for run in runs})[:12]
    assert hashes_of(text, [name] if name else []) == wanted


@given(st.lists(st.sampled_from(LEAKS)).map("".join))
def test_leaks_are_those_of_the_whole_pattern(text):
    hit = check_leaked._LEAKED.search(text)
    assert check_leaked.leaked(text) == (None if hit is None else hit[0].strip())
