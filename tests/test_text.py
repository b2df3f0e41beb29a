import sys
import unicodedata
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kogner import text as text_module
from kogner.errors import ConfigError
from kogner.records import Document, Mention
from kogner.text import (
    CROSSES_SENTENCES,
    OFF_WORD_EDGES,
    SPLITTERS,
    gliner_words,
    reach,
    sentences,
    splitter,
    to_sentences,
    words,
    words_with_blanks,
)

# Characters at which splitters break: sentence ends, brackets, quotes, line ends, blanks of several bytes, marks that
# combine, characters outside the basic plane, a lone surrogate, a zero byte.
AWKWARD = "aB1.!? \n\r\t\"'()[]é😀\u0301\x00\x1c\x85\u2028-,;_\u00a0\u2009\ud800。؟…"
PIECES = ["Dr. ", "e.g. ", "J. ", "Fig. 2", "It fell. ", "\n\n", "\r\n \r\n", " . ", "5 . 8", "\u00a0A."]
texts = st.one_of(
    st.text(max_size=200),
    st.text(alphabet=AWKWARD, max_size=200),
    st.lists(st.sampled_from(PIECES)).map("".join),
)


def blank(text):
    return not text or text.isspace()


@settings(max_examples=400, deadline=None)
@given(texts)
def test_words_hold_every_visible_character_once_and_in_order(text):
    assert "".join(text[start:end] for start, end in words(text)) == "".join(text.split())
    edges = [edge for span in words(text) for edge in span]
    assert edges == sorted(edges)
    assert all(start < end for start, end in words(text))


@settings(max_examples=400, deadline=None)
@given(texts)
def test_words_with_blanks_make_up_the_text(text):
    parts = words_with_blanks(text)
    assert "".join(parts) == text
    assert [part.rstrip() for part in parts if not part.isspace()] == [text[start:end] for start, end in words(text)]


@settings(max_examples=400, deadline=None)
@given(texts)
def test_words_without_marks_are_those_of_the_whole_pattern(text):
    assert words(text) == [one.span() for one in text_module._WORD.finditer(text)]


@settings(max_examples=600, deadline=None)
@given(texts)
def test_sentences_hold_every_visible_character_once_and_in_order(text):
    done = 0
    for start, end in sentences(text):
        assert done <= start < end
        assert blank(text[done:start])
        assert not blank(text[start]) and not blank(text[end - 1])
        done = end
    assert blank(text[done:])


@settings(max_examples=300, deadline=None)
@given(texts)
def test_no_sentence_ends_inside_a_word(text):
    of_whole = words(text)
    of_parts = [(start + a, start + b) for start, end in sentences(text) for a, b in words(text[start:end])]
    assert of_parts == of_whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IL-2-mediated", ["IL", "-", "2", "-", "mediated"]),
        ("5 µg/ml (n=3)", ["5", "µg", "/", "ml", "(", "n", "=", "3", ")"]),
        ("a_b", ["a", "_", "b"]),
        ("ε😀ζ", ["ε", "😀", "ζ"]),
        ("e\u0301t", ["e\u0301t"]),
        ("(=\u0338 a_\u0301b", ["(", "=\u0338", "a", "_\u0301", "b"]),
        ("a \u0301\u0302b", ["a", "\u0301\u0302", "b"]),
        ("❤\ufe0f हिन्दी", ["❤\ufe0f", "हिन्दी"]),
        (" \n\t", []),
    ],
)
def test_words_of_examples(text, expected):
    assert [text[start:end] for start, end in words(text)] == expected


@settings(max_examples=300, deadline=None)
@given(texts)
def test_no_word_ends_before_a_combining_mark(text):
    marks = [i for i, c in enumerate(text) if unicodedata.category(c).startswith("M")]
    for mark in marks:
        assert any(start <= mark < end for start, end in words(text))
        inside = [start for start, _ in words(text) if start == mark]
        assert not inside or mark == 0 or text[mark - 1].isspace()


def test_every_combining_mark_is_known():
    for code in range(sys.maxunicode + 1):
        is_mark = unicodedata.category(chr(code)).startswith("M")
        assert (text_module._MARK.match(chr(code)) is not None) == is_mark, hex(code)
        perhaps = is_mark or code > 0xFFFF
        assert (text_module._PERHAPS_MARK.match(chr(code)) is not None) == perhaps, hex(code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rose (e.g. in rats). It fell.", ["It rose (e.g. in rats).", "It fell."]),
        ("First part\n\nSecond part", ["First part", "Second part"]),
        ("First part\r\n \r\nSecond part", ["First part", "Second part"]),
        ("one line\nbroken in two", ["one line\nbroken in two"]),
        ("one line\r\nbroken in two", ["one line\r\nbroken in two"]),
        ("The band of 5 . 8 kb was lost .", ["The band of 5 . 8 kb was lost ."]),
        ("", []),
    ],
)
def test_sentences_of_examples(text, expected):
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_long_text_is_cut_as_its_parts_are():
    part = "The dose (10 mg) was halved. No rat died. "
    assert len(sentences(part * 3000)) == 2 * 3000


@pytest.mark.parametrize(
    "unit", ["The dose was halved. ", "x", ".", "(", "a.B", "\n", "A\n\n", "😀 ", "e\u0301", "\u0301"]
)
def test_one_megabyte_takes_linear_time(unit):
    long = unit * (1_000_000 // len(unit))
    started = perf_counter()
    spans = sentences(long)
    assert perf_counter() - started < 10  # 0.6 s measured for the slowest; a quadratic splitter takes minutes
    assert sum(len("".join(long[a:b].split())) for a, b in spans) == len("".join(long.split()))


@pytest.mark.parametrize("unit", ["The rat (10 mg) died. ", "The ra\u0301t e\u0301t. ", "e\u0301", "\u0301", "x "])
def test_words_of_one_megabyte_take_linear_time(unit):
    long = unit * (1_000_000 // len(unit))
    started = perf_counter()
    assert words(long)
    assert perf_counter() - started < 3  # 0.3 s measured for the slowest


def test_a_panic_of_the_splitter_leaves_one_sentence(monkeypatch):
    class PanicException(BaseException):
        pass

    def panics(*_):
        raise PanicException

    monkeypatch.setattr(text_module.sentencex, "segment", panics)
    assert sentences("It rose. It fell.\n\nEnd.") == [(0, 17), (19, 23)]


def document(text, *spans):
    return Document("d", text, tuple(Mention(a, b, "t", text[a:b]) for a, b in spans), frozenset({"t"}))


def test_gold_spans_are_word_indices_that_lead_back_to_the_text():
    text = "A rat died. IL-2-mediated lysis rose."
    cut, unreachable = to_sentences(document(text, (12, 16), (2, 5)))
    assert not unreachable
    found = {
        text[s.words[first][0] : s.words[beyond - 1][1]] for s in cut for first, beyond, _, _ in s.spans
    }  # fmt: skip
    assert found == {"rat", "IL-2"}
    assert all(s.texts == tuple(text[a:b] for a, b in s.words) and s.types == {"t"} for s in cut)


def test_gold_out_of_reach_is_counted_by_reason():
    text = "A rat died. Then one more died."
    doc = document(text, (3, 5), (6, 16), (0, 1))
    cut, unreachable = to_sentences(doc)
    assert unreachable == {OFF_WORD_EDGES: 1, CROSSES_SENTENCES: 1}
    assert sum(len(s.spans) for s in cut) + unreachable.total() == 3


def test_keeping_mentions_joins_only_the_sentences_they_cross():
    text = "A rat died. Then one more died. No third one did."
    doc = document(text, (6, 16))
    cut, unreachable = to_sentences(doc, keep_mentions=True)
    assert not unreachable
    assert [text[s.words[0][0] : s.words[-1][1]] for s in cut] == [text[:31], text[32:]]
    assert len(to_sentences(doc)[0]) == 3


@settings(max_examples=200, deadline=None)
@given(texts, st.data())
def test_every_mention_is_reached_or_counted(text, data):
    if not text:
        return
    starts = data.draw(st.lists(st.integers(0, len(text) - 1), max_size=6))
    spans = [(start, data.draw(st.integers(start + 1, len(text)))) for start in starts]
    doc = document(text, *spans)
    for keep in (False, True):
        cut, unreachable = to_sentences(doc, keep_mentions=keep)
        assert sum(len(s.spans) for s in cut) + unreachable.total() == len(spans)
        assert not (keep and unreachable[CROSSES_SENTENCES])


def test_context_joins_neighbouring_sentences_up_to_its_words() -> None:
    text = "Aspirin was given. Fever fell quickly. Nobody died there. A last one follows here."
    alone, _ = to_sentences(document(text, (19, 24)))
    assert [len(s.words) for s in alone] == [4, 4, 4, 6]
    joined, unreachable = to_sentences(document(text, (19, 24)), context=8)
    assert [len(s.words) for s in joined] == [8, 4, 6]
    assert joined[0].spans[0][:2] == (4, 5)
    assert not unreachable
    assert [w for s in joined for w in s.words] == [w for s in alone for w in s.words]
    assert [len(s.words) for s in to_sentences(document(text), context=100)[0]] == [18]
    assert [len(s.words) for s in to_sentences(document(text), context=1)[0]] == [4, 4, 4, 6]


# (text, mention that can be reached with our words, and whether it can with GLiNER's)
MENTIONS = [
    ("IL-2-mediated lysis", "IL-2", False),
    ("IL-2-mediated lysis", "IL", False),
    ("anti-TNF drugs", "TNF", False),
    ("NF-κB-dependent", "NF-κB", False),
    ("TNFα-induced", "TNFα", False),
    ("TNF-α/IFN-γ", "IFN-γ", True),
    ("α-synuclein", "α-synuclein", True),
    ("TGFβ1", "TGFβ1", True),
    ("p53+/+ mice", "p53", True),
    ("p53+/+ mice", "p53+/+", True),
    ("p53(-/-) mice", "p53", True),
    ("BRCA1/2 genes", "BRCA1", True),
    ("HLA-B*27:05", "HLA-B*27", True),
    ("HbA1c_level", "HbA1c", False),
    ("1,25-(OH)2D3 rose", "1,25-(OH)2D3", True),
    ("2,3',4,4',5-pentachlorobiphenyl", "2,3',4,4',5-pentachlorobiphenyl", True),
    ("N,N'-dimethyl-5,5\u2033-bis(2-methoxy)-urea", "N,N'-dimethyl-5,5\u2033-bis(2-methoxy)-urea", True),
    ("[3H]5-HT uptake", "5-HT", True),
    ("[3H]5-HT uptake", "[3H]5-HT", True),
    ("5-HT1A receptor", "5-HT1A", True),
    ("CD4+/CD8- cells", "CD4+", True),
    ("CD4+/CD8- cells", "CD8-", True),
    ("Na+/K+-ATPase", "Na+", True),
    ("Na+/K+-ATPase", "K+", True),
    ("Na+/K+-ATPase", "Na+/K+-ATPase", True),
    ("Ca\u00b2\u207a channel", "Ca\u00b2\u207a", True),
    ("H\u2082O\u2082-treated", "H\u2082O\u2082", False),
    ("\u00b5-opioid", "\u00b5", False),  # the micro sign
    ("\u03bc-opioid", "\u03bc", False),  # the letter mu
    ("Sjo\u0308gren's syndrome", "Sjo\u0308gren", True),
    ("Alzheimer's disease", "Alzheimer", True),
    ("non\u2011small\u2010cell cancer", "cell cancer", True),  # hyphens other than that of the keyboard
    ("aspirin\u00ae", "aspirin", True),
    ("zinc\u200bfinger", "finger", True),
]


def reached(text, mention, name):
    start = text.index(mention)
    cut, unreachable = to_sentences(document(text, (start, start + len(mention))), words=splitter(name))
    return sum(len(s.spans) for s in cut) == 1 and not unreachable


@pytest.mark.parametrize(("text", "mention", "by_gliner"), MENTIONS)
def test_mentions_in_reach(text, mention, by_gliner):
    assert reached(text, mention, "kogner")
    assert reached(text, mention, "gliner") == by_gliner


@pytest.mark.parametrize(("text", "mention"), [("5-HT1A receptor", "5-HT"), ("TNFα-induced", "TNF"), ("10mg", "mg")])
def test_a_part_of_a_run_of_letters_and_digits_is_out_of_reach(text, mention):
    assert not any(reached(text, mention, name) for name in SPLITTERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IL-2-mediated (n=3)", ["IL-2-mediated", "(", "n", "=", "3", ")"]),
        ("a_b--c -d e- f_-g", ["a_b", "-", "-", "c", "-", "d", "e", "-", "f_-g"]),
        ("e\u0301t \u00b5g", ["e", "\u0301", "t", "\u00b5g"]),
    ],
)
def test_gliner_words_of_examples(text, expected):
    assert [text[start:end] for start, end in gliner_words(text)] == expected


@settings(max_examples=200, deadline=None)
@given(texts)
def test_gliner_words_hold_every_visible_character_once_too(text):
    assert "".join(text[start:end] for start, end in gliner_words(text)) == "".join(text.split())


def test_splitters_by_name():
    assert splitter("kogner") is words
    assert splitter("gliner") is gliner_words
    with pytest.raises(ConfigError, match="'spacy' is not known; known are kogner, gliner"):
        splitter("spacy")


def test_sentences_take_the_words_of_the_splitter_also_in_their_context():
    text = "IL-2-mediated lysis rose. The IL-2 gene did not."
    cut, unreachable = to_sentences(document(text, (0, 4), (30, 34)), words=gliner_words)
    assert [s.texts[:2] for s in cut] == [("IL-2-mediated", "lysis"), ("The", "IL-2")]
    assert unreachable == {OFF_WORD_EDGES: 1}
    assert len(to_sentences(document(text), context=10, words=gliner_words)[0]) == 1
    assert len(to_sentences(document(text), context=10)[0]) == 2


def test_reach_says_where_or_why_not():
    text = "A rat died. Then one more died."
    doc = document(text, (2, 5), (3, 5), (6, 16), (12, 20))
    cut, _ = to_sentences(document(text))
    assert reach(cut, doc.mentions) == [(0, 1, 2), OFF_WORD_EDGES, CROSSES_SENTENCES, (1, 0, 2)]
