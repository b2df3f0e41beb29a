from kogner.data.summary import Summary
from kogner.records import Document, Mention
from kogner.text import CROSSES_SENTENCES, OFF_WORD_EDGES


def test_reachable_and_unreachable_mentions_add_up():
    text = "Very very very very very very very very old mice died. Others lived."
    spans = {"wide": (0, 48), "narrow": (44, 48), "off": (45, 48), "across": (49, 61)}
    mentions = tuple(
        Mention(a, b, kind, text[a:b], entity="X:1" if kind == "wide" else None) for kind, (a, b) in spans.items()
    )
    summary = Summary.of([Document("1", text, mentions), Document("2", "")])
    assert (summary.documents, summary.sentences, summary.words, summary.longest) == (2, 2, 15, 12)
    assert summary.unreachable == {OFF_WORD_EDGES: 1, CROSSES_SENTENCES: 1}
    assert summary.to_dict()["wider_than"] == {"8": 1, "12": 0, "16": 0}
    assert (summary.to_dict()["mentions"], summary.linked) == (4, 1)
