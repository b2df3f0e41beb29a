from __future__ import annotations

from kogner.data.batch import WIDER
from kogner.evaluate.reach import unreachable
from kogner.records import Document, Mention
from kogner.text import CROSSES_SENTENCES, OFF_WORD_EDGES, gliner_words

TEXT = "IL-2-mediated lysis of one two three four rats rose. Then it fell."


def document(*spans):
    mentions = tuple(Mention(TEXT.index(text), TEXT.index(text) + len(text), kind) for text, kind in spans)
    return Document("1", TEXT, mentions, frozenset({"gene", "other"}))


def test_what_is_out_of_reach_is_counted_by_type_and_reason():
    doc = document(
        ("IL-2", "gene"), ("L-2", "gene"), ("one two three four rats", "other"), ("rose. Then", "other"), ("wo", "x")
    )
    found = unreachable([doc], types={"gene", "other"}, max_width=4)
    assert found == {"gene": {OFF_WORD_EDGES: 1}, "other": {WIDER: 1, CROSSES_SENTENCES: 1}}
    assert unreachable([doc], types={"other"}, max_width=5) == {"other": {CROSSES_SENTENCES: 1}}


def test_it_depends_on_how_the_student_reads():
    doc = document(("IL-2", "gene"), ("rose. Then", "other"))
    types = {"gene", "other"}
    assert unreachable([doc], types=types, max_width=4, splitter=gliner_words)["gene"] == {OFF_WORD_EDGES: 1}
    assert unreachable([doc], types=types, max_width=4, context=50) == {}
