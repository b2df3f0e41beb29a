"""CoNLL as it is written: read back it has the same words and mentions, and what it cannot hold is counted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from kogner.data.formats import conll, conll_writer
from kogner.data.formats.registry import FORMATS, of_output
from kogner.data.report import Report
from kogner.records import Document, Mention
from kogner.text import words

TEXT = "IL-2 gene rises. Sjögren’s disease\tfalls! No more."
ONE = Document(
    "7", TEXT,
    (Mention(0, 9, "gene", "IL-2 gene", ("NCBI:1",)), Mention(0, 4, "protein", "IL-2"), Mention(5, 7, "x", "ge"),
     Mention(17, 34, "rare disease", "Sjögren’s disease"), Mention(35, 40, "a\tb", "falls")),
)  # fmt: skip


def written(tmp_path, documents):
    report = Report()
    FORMATS["conll"].save(tmp_path / "a.conll", documents, report=report)
    return (tmp_path / "a.conll").read_text(encoding="utf-8"), report


def test_a_document(tmp_path):
    text, report = written(tmp_path, [ONE, Document("8", "  ")])
    assert text.splitlines()[:6] == ["-DOCSTART-\tO", "", "IL\tB-gene", "-\tI-gene", "2\tI-gene", "gene\tI-gene"]
    assert dict(report.skipped) == {
        conll_writer.OVERLAPS: 1, conll_writer.OFF_WORDS: 1, conll_writer.NO_TAG: 1, conll_writer.NO_WORDS: 1,
    }  # fmt: skip
    assert report.noted[conll_writer.NO_NAME] == report.noted[conll_writer.REWRITTEN] == 1
    assert report.noted[conll_writer.NO_IDS] == 1
    back = list(conll.read(tmp_path / "a.conll", report=Report()))
    assert [len(one.text.split()) for one in back] == [6, 6, 3]
    assert [(m.type, m.text) for one in back for m in one.mentions] == [
        ("gene", "IL - 2 gene"), ("rare disease", "Sjögren ’ s disease"),
    ]  # fmt: skip
    assert of_output("a.conll").name == "conll"


def test_a_mention_across_the_end_of_a_sentence_keeps_it_whole(tmp_path):
    text = "It falls. Then rises."
    written(tmp_path, [Document("1", text, (Mention(3, 14, "x", text[3:14]),))])
    (one,) = conll.read(tmp_path / "a.conll", report=Report())
    assert [m.text for m in one.mentions] == ["falls . Then"]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_words_and_mentions_come_back(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("conll")
    documents = []
    for name in range(data.draw(st.integers(1, 3))):
        text = data.draw(st.text("ab .!?-1é\n\t(", min_size=1, max_size=60))
        spans = words(text)
        picks = data.draw(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3), st.sampled_from("xy")), max_size=4))
        chosen = {}
        for first, more, kind in picks:
            if first < len(spans):
                start, end = spans[first][0], spans[min(first + more, len(spans) - 1)][1]
                chosen.setdefault((start, end), Mention(start, end, kind, text[start:end]))
        documents.append(Document(str(name), text, tuple(chosen.values())))
    _, report = written(folder, documents)
    there = [one for one in documents if words(one.text)]
    if not there:
        return
    back = list(conll.read(folder / "a.conll", report=(read := Report())))
    assert not read.skipped and not read.repaired
    assert [w for one in back for w in one.text.split(" ")] == [
        one.text[start:end] for one in there for start, end in words(one.text)
    ]
    lost = sum(report.skipped.values()) - report.skipped[conll_writer.NO_WORDS]
    kept = Counter(m.type for one in back for m in one.mentions)
    assert sum(kept.values()) + lost == sum(len(one.mentions) for one in there)
