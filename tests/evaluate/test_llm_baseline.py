"""A language model's answers laid on the text, what of them cannot be used, and the command that scores them."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import Answer, ScriptedServer

from kogner.cli import main
from kogner.data import corpora
from kogner.data.formats import jsonl
from kogner.evaluate import llm_baseline as baseline
from kogner.evaluate.llm_baseline import aligned
from kogner.evaluate.sample import CROSSES, sampled
from kogner.records import Document, Mention

TEXT = "IL-2 rose in asthma; IL-2 fell in Asthma and asthmatics."


def entries(*pairs):
    return [{"mention": mention, "type": kind} for mention, kind in pairs]


def spans(found):
    return [(one.start, one.end, one.type) for one in found]


def test_an_entry_that_is_given_once_stands_for_all_its_places():
    found = aligned(entries(("IL-2", "gene"), ("asthma", "Disease")), TEXT, ["gene", "disease"], Counter())
    assert spans(found) == [(0, 4, "gene"), (13, 19, "disease"), (21, 25, "gene"), (34, 40, "disease")]


def test_a_symbol_is_found_in_its_own_case():
    text = "WAS was there; was it? Asthma, asthma."
    found = aligned(entries(("WAS", "gene"), ("asthma", "disease")), text, ["gene", "disease"], Counter())
    assert spans(found) == [(0, 3, "gene"), (23, 29, "disease"), (31, 37, "disease")]
    some = aligned(entries(*[("asthma", "disease")] * 2), f"Asthma, {text[31:]} asthma", ["disease"], Counter())
    assert [one.text for one in some] == ["asthma", "asthma"]  # as it is written first


def test_in_a_flat_corpus_the_longest_entry_wins():
    text, types = "IL-2 receptor, IL-2, IL-2; receptor level", ["gene", "protein"]
    listed = entries(("IL-2", "gene"), ("IL-2", "gene"), ("IL-2 receptor", "protein"), ("receptor level", "protein"))
    found = aligned(listed, text, types, Counter())
    assert spans(found) == [(0, 13, "protein"), (15, 19, "gene"), (21, 25, "gene"), (27, 41, "protein")]
    counts = Counter()
    inside = entries(("lung cancer", "gene"), ("lung cancer", "protein"), ("cancer", "gene"))
    assert spans(aligned(inside, "A lung cancer.", types, counts)) == [(2, 13, "gene")]
    assert counts == {baseline.INSIDE: 2}
    nested = aligned(inside, "A lung cancer.", types, Counter(), nested=True)
    assert spans(nested) == [(2, 13, "gene"), (2, 13, "protein"), (7, 13, "gene")]


def test_entities_inside_others_are_asked_for_only_where_they_count(corpus, tmp_path, monkeypatch):
    pytest.importorskip("openai", reason="the extra 'llm' is not installed")
    monkeypatch.delenv("KOGNER_LLM_KEY", raising=False)
    with ScriptedServer(lambda seen: Answer('{"entities": []}')) as server:
        for more in ([], ["--nested"]):
            with pytest.raises(SystemExit) as stopped:
                main(["evaluate", "--llm", server.spec, "--data", f"c={corpus}", "--sentences", "2", "--cache",
                      str(tmp_path / "a.cache"), "--quiet", *more])  # fmt: skip
            assert stopped.value.code == 0
    asked = ["inside" in seen.body["messages"][0]["content"] for seen in server.seen]
    assert asked == [False, False, True, True] and all("$" not in str(seen.body) for seen in server.seen)


def test_entries_that_are_given_several_times_take_one_place_each():
    counts = Counter()
    found = aligned(entries(*[("IL-2", "gene")] * 3), TEXT, ["gene"], counts)
    assert spans(found) == [(0, 4, "gene"), (21, 25, "gene")] and counts == {baseline.NOT_THERE: 1}


def test_what_cannot_be_used_is_counted():
    counts = Counter()
    bad = [3, {"mention": "IL-2"}, {"mention": "", "type": "gene"}, *entries(("IL-2", "food"), ("IL-4", "gene"))]
    assert aligned(bad, TEXT, ["gene"], counts) == []
    assert counts == {baseline.BAD_ENTRY: 2, baseline.WRONG_TYPE: 2, baseline.NOT_THERE: 1}


def test_another_case_counts_where_nothing_else_is_there():
    counts = Counter()
    assert spans(aligned(entries(("il-2", "gene")), TEXT, ["gene"], counts)) == [(0, 4, "gene"), (21, 25, "gene")]
    assert counts == {baseline.OTHER_CASE: 1}


@given(st.lists(st.fixed_dictionaries({"mention": st.text(max_size=9) | st.just("asthma"), "type": st.text(max_size=3)
                                       | st.just("gene")})))  # fmt: skip
def test_mentions_are_in_the_text_and_none_is_doubled(given_entries):
    found = aligned(given_entries, TEXT, ["gene"], Counter())
    assert len({one.key for one in found}) == len(found)
    assert all(TEXT[one.start : one.end] == one.text for one in found)


@pytest.fixture
def corpus(tmp_path):
    documents = []
    for number in range(6):
        text = f"Gene{number} is high. It is gone in ache{number}."
        end = len(f"Gene{number}")
        start = text.index("ache")
        mentions = (Mention(0, end, "gene"), Mention(start, len(text) - 1, "disease"))
        documents.append(Document(str(number), text, mentions, frozenset({"gene", "disease"})))
    jsonl.write(tmp_path / "test.jsonl", documents)
    return tmp_path


def test_sampled_sentences(corpus):
    whole = corpora.load("c", corpus, "test")
    some = sampled(whole, 5)
    assert len(some) == 5 and some.documents == sampled(whole, 5).documents != sampled(whole, 5, seed=1).documents
    every = sampled(whole, 100)
    assert len(every) == 12 and every.mentions == whole.mentions
    for document in every.documents:
        assert all(document.text[one.start : one.end].startswith(("Gene", "ache")) for one in document.mentions)
    crossing = Document("x", "One is. Two is.", (Mention(0, 15, "gene"),), frozenset({"gene"}))
    assert sampled(type(whole)("c", "test", corpus, (crossing,), ("gene",), whole.report), 9).mentions == 0
    assert whole.report.noted[CROSSES] == 1


def test_command(corpus, tmp_path, capsys, monkeypatch):
    pytest.importorskip("openai", reason="the extra 'llm' is not installed")
    monkeypatch.delenv("KOGNER_LLM_KEY", raising=False)

    def script(seen):
        text = seen.user.split("Text: ")[1]
        number = int(next(character for character in text if character.isdigit()))
        if number == 1:
            return Answer('{"entities": [{"mention": "Gene1", ', finish="length")
        if number == 2:
            return Answer("I see no entities here.")
        if number == 5:
            found = entries(*[one for one in (("Gene5", "gene"), ("ache5", "disease")) if one[0] in text])
            return Answer(f"I list {{}} first: {json.dumps([{'entities': found}])}")
        listed = [("Gene3", "drug")] if number == 3 else [(f"Gene{number}", "gene"), (f"ache{number}", "disease")]
        return Answer(
            json.dumps({"entities": [one for one in entries(*listed) if one["mention"] in text or number == 4]})
        )

    with ScriptedServer(script) as server, pytest.raises(SystemExit) as stopped:
        main(["evaluate", "--llm", server.spec, "--data", f"c={corpus}", "--sentences", "12", "--cache",
              str(tmp_path / "a.cache"), "--quiet"])  # fmt: skip
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert stopped.value.code == 0 and said["asked"]["asked"] == 12 == said["corpora"]["c"]["documents"]
    assert (
        said["corpora"]["c"]["gold"] == 12
        and said["corpora"]["c"]["correct"] == 6
        and said["corpora"]["c"]["predicted"] == 6
    )
    assert said["corpora"]["c"]["unusable"] == {
        "answer cut off at its token limit": 2, "no JSON in the answer": 2, baseline.NOT_THERE: 2,
        baseline.WRONG_TYPE: 1,
    }  # fmt: skip


def test_a_model_that_answers_nothing_and_options_of_students(corpus, tmp_path, capsys, monkeypatch):
    pytest.importorskip("openai", reason="the extra 'llm' is not installed")
    monkeypatch.delenv("KOGNER_LLM_KEY", raising=False)
    with ScriptedServer(lambda seen: Answer("no temperature but 1, please", status=400)) as server:
        command = [
            "evaluate",
            "--llm",
            server.spec,
            "--data",
            f"c={corpus}",
            "--cache",
            str(tmp_path / "a.cache"),
            "--quiet",
        ]
        for more, says in (
            ([], "no temperature but 1"),
            ([], "answered no request"),
            (["--threshold", "0.5"], "--threshold is for students"),
        ):
            with pytest.raises(SystemExit) as stopped:
                main([*command, *more])
            assert stopped.value.code == 2 and says in capsys.readouterr().err


def test_either_a_student_or_a_language_model(corpus, capsys):
    for given_options in ([], ["--model", "x", "--llm", "local"]):
        with pytest.raises(SystemExit) as stopped:
            main(["evaluate", "--data", f"c={corpus}", *given_options])
        assert stopped.value.code == 2 and "either --model" in capsys.readouterr().err
