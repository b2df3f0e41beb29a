"""The paper's check and the stricter one: every row is kept or left out with a reason."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kogner.cli import main
from kogner.data import check as rules
from kogner.data import corpora, sanity
from kogner.data.check import Checker, CheckSettings
from kogner.data.checking import NamesOf
from kogner.data.formats import bmg, gliner, jsonl, pubtator
from kogner.data.pairs import End, Pair
from kogner.data.report import Report
from kogner.data.rows import Row, read
from kogner.data.sanity import Rejected
from kogner.data.similar import Similar
from kogner.data.written import Written
from kogner.errors import InputError
from kogner.graph.store import build
from kogner.records import Document, Entity, Mention
from kogner.text import words

KGE = [("IL-2", "G:1"), ("asthma", "D:1")]
TEXT = "Serum IL-2 rose in asthma, and IL2 fell when Asthma was treated with salbutamol."
ANSWER = {
    "sentence": TEXT,
    "ner": [
        {"mention": "IL-2", "type": "gene"},
        {"mention": "asthma", "type": "disease"},
        {"mention": "salbutamol", "type": "chemical"},
    ],
}
TYPES = ("gene", "disease", "chemical")


def row(answer=ANSWER, **changes):
    pair = Pair("linked:1", "linked", End("G:1", "Gene", "IL-2"), End("D:1", "Disease", "asthma"))
    values = {"id": "a:1", "pairs": (pair,), "types": TYPES, "prompt": "a@1", "model": "m", "request": "h"} | changes
    return Row(**values, answer=answer)


def changed(**changes):
    return ANSWER | changes


def texts(document):
    return [(document.text[one.start : one.end], one.type, one.entity) for one in document.mentions]


def test_the_papers_check_takes_the_first_places():
    found = sanity.check(ANSWER, KGE)
    assert [(TEXT[start:end], kind, own) for start, end, kind, own in found.spans] == [
        ("IL-2", "gene", "G:1"), ("asthma", "disease", "D:1")
    ]  # fmt: skip
    kept = Checker(CheckSettings.paper()).check(row())
    assert texts(kept) == [("IL-2", "gene", "G:1"), ("asthma", "disease", "D:1")]


def test_the_type_and_the_id_are_those_of_the_entries_of_the_same_number():
    turned = changed(ner=ANSWER["ner"][1::-1])
    assert [kind for *_, kind, _ in sanity.check(turned, KGE).spans] == ["disease", "gene"]


def test_the_stricter_check_takes_the_entry_that_mentions_an_entity():
    ner = [{"mention": one, "type": kind} for one, kind in (("Asthma", "disease"), ("IL 2", "gene"))]
    for listed in (ner, [ANSWER["ner"][2], *ner], [*ner[:1], None, ner[1]]):
        assert ("IL-2", "gene", "G:1") in texts(Checker().check(row(changed(ner=listed))))
    wrong = [{"mention": "asthma", "type": "gene"}, {"mention": "IL-2", "type": "disease"}]
    assert Checker().check(row(changed(ner=wrong))).reason == rules.TYPE
    # the entry of the same number where none mentions the entity
    other = [{"mention": "interleukin 2", "type": "disease"}, ANSWER["ner"][1]]
    assert Checker().check(row(changed(ner=other))).reason == rules.TYPE


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (changed(ner=ANSWER["ner"][:1]), sanity.STRUCTURE),
        (changed(sentence="Serum IL-4 rose in asthma of all the patients."), sanity.NOT_FOUND),
        (changed(ner=[{"mention": "IL-2"}, *ANSWER["ner"][1:]]), sanity.MISSING_KEYS),
        (changed(ner=None), sanity.MISSING_KEYS),
        ({"ner": []}, sanity.MISSING_KEYS),
        ("text", sanity.MISSING_KEYS),
        (None, sanity.MISSING_KEYS),
        ([1], sanity.MISSING_KEYS),
        (changed(ner=["IL-2", "asthma"]), sanity.MISSING_KEYS),
        (changed(sentence=""), sanity.NOT_FOUND),
    ],
)
def test_what_the_papers_check_leaves_out(answer, reason):
    assert sanity.check(answer, KGE).reason == reason
    assert Checker().check(row(answer)).reason == reason
    assert Checker(CheckSettings.paper()).check(row(answer)).reason == reason


def test_what_was_not_found_is_told_in_full():
    detail = sanity.check(changed(sentence="il fell in asthma"), KGE).detail
    assert detail == "'il fell in asthma': searched ['IL', '-', '2'], found ['IL']"


def test_all_places_variants_and_further_entities():
    assert texts(Checker().check(row())) == [
        ("IL-2", "gene", "G:1"), ("asthma", "disease", "D:1"), ("IL2", "gene", "G:1"), ("Asthma", "disease", "D:1"),
        ("salbutamol", "chemical", None),
    ]  # fmt: skip
    only = CheckSettings(all_places=False, further=False)
    assert texts(Checker(only).check(row())) == [("IL-2", "gene", "G:1"), ("asthma", "disease", "D:1")]
    assert Checker().check(row()).types == {"gene", "disease", "chemical"}


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Here is a sentence about IL-2 and asthma for you.", rules.LEAKED),
        ("Sure! IL-2 is high in severe asthma today.", rules.LEAKED),
        ("The given entities IL-2 and asthma are related.", rules.LEAKED),
        ('{"ner": 1} IL-2 is high in severe asthma today.', rules.LEAKED),
        ("Here's a sentence about IL-2 and asthma for you.", rules.LEAKED),
        ("Here\u2019s an example of IL-2 in severe asthma.", rules.LEAKED),
        ("Sure, here is a sentence: IL-2 is high in severe asthma.", rules.LEAKED),
        ("**Sentence:** IL-2 is high in severe asthma today.", rules.LEAKED),
        ("Sentence 1: IL-2 is high in severe asthma today.", rules.LEAKED),
        ("\nSure! IL-2 is high in severe asthma today.", rules.LEAKED),
        ("IL-2 (gene) and asthma (disease) are seen in the same patients.", rules.LEAKED),
        ("IL-2 is high in severe asthma today. Relation: linked.", rules.LEAKED),
        ("As an AI language model, I say that IL-2 is high in asthma.", rules.LEAKED),
        ("IL2 asthma.", rules.LENGTH),
        ("IL-2 in asthma" + " is high" * 70, rules.LENGTH),
        ("IL-2 is high in severe asthma today \udcff.", rules.NO_TEXT),
    ],
)
def test_what_the_stricter_check_leaves_out(sentence, reason):
    assert Checker().check(row(changed(sentence=sentence))).reason == reason


@pytest.mark.parametrize(
    "sentence",
    [
        "Of course, IL-2 is a given type of marker in asthma.",
        "At $500 per patient IL-2 was too dear in asthma.",
        "The training data of IL-2 in asthma were few.",
        "A score that was used as an AI-assisted tool put IL-2 beside asthma.",
        "Certainly, here we show that IL-2 is high in asthma.",
        "IL-2 (gene) is high in asthma of all the patients.",
        "The structure-activity relation: IL-2 is high in severe asthma.",
    ],
)
def test_what_only_looks_like_instructions(sentence):
    assert isinstance(Checker().check(row(changed(sentence=sentence))), Document)


def test_blanks_around_a_sentence_are_no_part_of_it():
    for wanted in (CheckSettings(), CheckSettings.paper()):
        kept = Checker(wanted).check(row(changed(sentence=f"\n  {TEXT} \n")))
        assert kept.text == TEXT and ("IL-2", "gene", "G:1") in texts(kept)


def test_an_inverted_name_may_be_written_in_order():
    pair = Pair("linked:1", "linked", End("G:1", "Gene", "IL-2"), End("D:1", "Disease", "Arthritis, Rheumatoid"))
    for name in ("rheumatoid arthritis", "arthritis, rheumatoid"):
        ner = [{"mention": name, "type": "disease"}, ANSWER["ner"][0]]
        answer = {"sentence": f"The level of IL-2 was high in {name} of old patients.", "ner": ner}
        kept = texts(Checker().check(row(answer, pairs=(pair,))))
        assert kept == [("IL-2", "gene", "G:1"), (name, "disease", "D:1")]
        assert Checker(CheckSettings.paper()).check(row(answer, pairs=(pair,))).reason == sanity.NOT_FOUND
        found = Checker().check(row(answer, pairs=(pair,), known=((13, 17, "gene", "G:1"),)))
        assert (found.reason == sanity.NOT_FOUND) if "," not in name else isinstance(found, Document)
    assert Written("Arthritis, rheumatoid arthritis").places("Arthritis, Rheumatoid") == [(0, 21)]


def test_types_are_compared_whatever_their_case_and_written_as_the_row_has_them():
    ner = [{"mention": "IL-2", "type": "GENE"}, {"mention": "asthma", "type": "Dis-ease"}]
    kept = Checker().check(row(changed(ner=[*ner, {"mention": "salbutamol", "type": "CHEMICAL"}])))
    assert {one.type for one in kept.mentions} == {"gene", "disease", "chemical"}
    other = row(types=("mRNA", "Drug"))
    assert Checker().check(other).types == {"mRNA", "Drug", "gene", "disease"}  # its own mentions' types as well
    empty = changed(ner=[{"mention": "IL-2", "type": " "}, ANSWER["ner"][1]])
    assert Checker(CheckSettings.paper()).check(row(empty)).reason == sanity.MISSING_KEYS


def test_entries_out_of_order_are_further_entities():
    ner = [{"mention": "salbutamol", "type": "gene"}, {"mention": "x", "type": "disease"}, *ANSWER["ner"][:2]]
    kept = Checker().check(row(changed(ner=ner)))
    assert ("salbutamol", "gene", None) in texts(kept)


def test_two_pairs_with_an_entity_in_common():
    first = row().pairs[0]
    second = Pair("linked:2", "linked", first.head, End("C:1", "Chemical", "salbutamol"))
    both = row(changed(ner=ANSWER["ner"]), pairs=(first, second))
    assert both.kge == [("IL-2", "G:1"), ("asthma", "D:1"), ("salbutamol", "C:1")]
    kept = Checker().check(both)
    assert ("salbutamol", "chemical", "C:1") in texts(kept) and len(texts(kept)) == 5
    for wanted in (CheckSettings(), CheckSettings.paper()):
        lacking = changed(sentence="Serum IL-2 rose in asthma in all of them.")
        assert Checker(wanted).check(row(lacking, pairs=(first, second))).reason == sanity.NOT_FOUND


def test_known_mentions_stay_whatever_they_are_called():
    known = ((68, 78, "Drug", "C:9"), (7, 11, "gene", "G:1"), (500, 600, "gene", "G:1"))
    kept = Checker(CheckSettings(further=False)).check(row(known=known))
    assert [one for one in texts(kept) if one[2] == "C:9"] == [(TEXT[68:78], "Drug", "C:9")]


def test_a_name_of_several_types_is_no_mention(tmp_path):
    entities = [Entity("C:7", "Chemical", "salbutamol"), Entity("D:7", "Disease", "salbutamol")]
    build(entities, [], tmp_path / "graph")
    checker = Checker(CheckSettings(further=False), scanner=NamesOf(tmp_path / "graph", None))
    assert all("salbutamol" not in one for one in texts(checker.check(row())))
    assert checker.counts.remarks == {rules.SEVERAL: 1}


def test_entities_that_are_not_apart():
    ends = End("D:2", "Disease", "lung cancer"), End("D:3", "Disease", "cancer")
    pair = Pair("linked:2", "linked", *ends)
    ner = [{"mention": end.name, "type": "disease"} for end in ends]
    inside = {"sentence": "Most of them had lung cancer before.", "ner": ner}
    beside = {"sentence": "Most of them had lung cancer before another cancer.", "ner": ner}
    assert Checker().check(row(inside, pairs=(pair,))).reason == rules.SAME_PLACE
    assert texts(Checker().check(row(beside, pairs=(pair,)))) == [
        ("lung cancer", "disease", "D:2"), ("cancer", "disease", "D:3")
    ]  # fmt: skip


INSIDE = "The dose of insulin was raised since insulin resistance was high in severe asthma."


def insulin(sentence=INSIDE, *further, **changes):
    pair = Pair("linked:1", "linked", End("C:4", "Chemical", "insulin"), End("D:1", "Disease", "asthma"))
    ner = [{"mention": "insulin", "type": "chemical"}, {"mention": "asthma", "type": "disease"}]
    ner += [{"mention": name, "type": "disease"} for name in further]
    return row({"sentence": sentence, "ner": ner}, pairs=(pair,), **changes)


def test_a_place_in_a_longer_mention_of_another_entity_is_none(tmp_path):
    wanted = [("insulin", "chemical", "C:4"), ("insulin resistance", "disease", None), ("asthma", "disease", "D:1")]
    assert texts(Checker().check(insulin(INSIDE, "insulin resistance"))) == wanted
    entities = [Entity("D:5", "Disease", "insulin resistance"), Entity("C:4", "Chemical", "insulin")]
    build(entities, [], tmp_path / "graph")
    names = NamesOf(tmp_path / "graph", None)
    found = texts(Checker(scanner=names).check(insulin()))
    assert found == [wanted[0], ("insulin resistance", "disease", "D:5"), wanted[2]]
    # the same entity's longer name, a known text and a rule that is off change nothing
    build([Entity("C:4", "Chemical", "insulin", ("insulin resistance",))], [], tmp_path / "same")
    alone = [wanted[0], wanted[0], wanted[2]]
    assert texts(Checker(scanner=NamesOf(tmp_path / "same", None)).check(insulin())) == alone
    known = insulin(known=((0, 3, "disease", None),))
    assert texts(Checker(scanner=names).check(known))[1:] == alone
    assert texts(Checker(CheckSettings(apart=False), scanner=names).check(insulin())) == alone


def test_a_place_in_a_longer_known_mention_of_another_entity_is_none():
    begin = INSIDE.index("insulin resistance")
    known = [(12, 19, "chemical", "C:4"), (begin, begin + 18, "disease", "D:5"), (75, 81, "disease", "D:1")]
    assert texts(Checker().check(insulin(known=tuple(known)))) == [
        ("insulin", "chemical", "C:4"), ("insulin resistance", "disease", "D:5"), ("asthma", "disease", "D:1")
    ]  # fmt: skip
    known.append((begin, begin + 7, "chemical", "C:4"))  # what is known there stays, nested or not
    assert len(texts(Checker().check(insulin(known=tuple(known))))) == 4


def test_an_entity_that_is_only_in_longer_names_is_not_apart(tmp_path):
    only = "The patients had insulin resistance for years before their severe asthma began."
    found = Checker().check(insulin(only, "insulin resistance"))
    assert found.reason == rules.SAME_PLACE and "longer name" in found.detail
    build([Entity("D:5", "Disease", "insulin resistance")], [], tmp_path / "graph")
    assert Checker(scanner=NamesOf(tmp_path / "graph", None)).check(insulin(only)).reason == rules.SAME_PLACE


def test_sentences_that_are_nearly_the_same_whatever_their_entities():
    checker = Checker()
    sentence = "We measured how strongly {} responds in children who suffer from severe {} at night."
    other = Pair("linked:3", "linked", End("G:9", "Gene", "CCR5"), End("D:9", "Disease", "gout"))
    first = checker.check(row(changed(sentence=sentence.format("IL-2", "asthma"))))
    second = checker.check(row(changed(sentence=sentence.format("CCR5", "gout")), pairs=(other,)))
    assert isinstance(first, Document) and second.reason == rules.SIMILAR
    assert isinstance(checker.check(row()), Document)


@pytest.mark.parametrize("names", [("AR", "T", "IN"), ("GC", "RS1", "ES")])
def test_short_names_hide_no_template(names):
    checker = Checker()
    for number, name in enumerate(names):
        pair = Pair(f"linked:{number}", "linked", End(f"G:{number}", "Gene", name), End("D:9", "Disease", "gout"))
        sentence = f"In earlier studies on inheritance we measured how strongly {name} responds in patients with gout."
        ner = [{"mention": name, "type": "gene"}, {"mention": "gout", "type": "disease"}]
        found = checker.check(row({"sentence": sentence, "ner": ner}, pairs=(pair,)))
        assert isinstance(found, Document) if number == 0 else found.reason == rules.SIMILAR


def test_negative_sentences_name_none_of_the_entities():
    quiet = {"sentence": "All patients gave written consent before the study.", "ner": []}
    named = quiet | {"sentence": "All patients with Asthma gave written consent before."}
    assert texts(Checker().check(row(quiet, negative=True))) == []
    assert Checker().check(row(named, negative=True)).reason == rules.NAMED


def test_negative_sentences_name_none_of_the_entities_by_another_name(tmp_path):
    entities = [Entity("D:1", "Disease", "asthma", ("wheezing illness",)), Entity("D:2", "Disease", "gout")]
    build(entities, [], tmp_path / "graph")
    checker = Checker(scanner=NamesOf(tmp_path / "graph", None))
    other = {"sentence": "All patients with a wheezing illness gave written consent before.", "ner": []}
    assert checker.check(row(other, negative=True)).reason == rules.NAMED
    gout = {"sentence": "All patients with gout gave their written consent before it began.", "ner": []}
    assert texts(checker.check(row(gout, negative=True))) == [("gout", "disease", "D:2")]


def test_further_entries_that_cannot_be_used_are_counted():
    ner = [*ANSWER["ner"][:2], {"mention": "heparin", "type": "chemical"}, {"mention": "salbutamol", "type": "food"}, 3]
    checker = Checker()
    assert len(checker.check(row(changed(ner=ner))).mentions) == 4
    assert checker.counts.remarks == {rules.NOT_THERE: 1, rules.OTHER_TYPE: 2}
    assert checker.check(row(changed(ner=ner))).reason == rules.SIMILAR
    assert checker.counts.remarks == {rules.NOT_THERE: 1, rules.OTHER_TYPE: 2}  # they are of kept sentences


def test_names_of_the_graph_are_added(tmp_path):
    build([Entity("C:7", "Chemical", "salbutamol"), Entity("D:1", "Disease", "asthma")], [], tmp_path / "graph")
    checker = Checker(CheckSettings(further=False), scanner=NamesOf(tmp_path / "graph", None))
    assert ("salbutamol", "chemical", "C:7") in texts(checker.check(row()))
    linked = Checker(scanner=NamesOf(tmp_path / "graph", None))
    assert texts(linked.check(row()))[-1] == ("salbutamol", "chemical", "C:7")


def test_a_request_that_failed_stays_rejected_for_its_reason():
    checker = Checker()
    failed = row(None, rejected="time-out", detail="60 s")
    assert checker.check(failed) == Rejected("time-out", "60 s")
    assert checker.counts.to_dict()["rejected"] == {"time-out": 1}


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([TEXT, "IL-2", "asthma", "gene"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["sentence", "ner", "mention", "type"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(ANY | st.fixed_dictionaries({"sentence": st.text() | st.just(TEXT), "ner": ANY}), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_answer_is_kept_or_left_out_with_a_reason(answer, negative):
    for wanted in (CheckSettings(), CheckSettings.paper()):
        checker = Checker(wanted)
        found = checker.check(row(answer, negative=negative))
        assert checker.counts.kept + checker.counts.rejected.total() == 1
        if isinstance(found, Document):
            assert all(found.text[one.start : one.end] == one.text for one in found.mentions)
            assert jsonl.line_of(found)


@given(st.lists(st.sampled_from(["IL-2", "IL2", "il-2", "IL 2", "IL", "-", "2", " ", "asthma", "β", "(", ".\n"])))
@settings(deadline=None)
def test_places_are_whole_words_in_order(parts):
    text = " ".join(parts)
    starts, ends = ({edge[side] for edge in words(text)} for side in (0, 1))
    last = 0
    for start, end in Written(text).places("IL-2"):
        assert (
            start >= last
            and start in starts
            and end in ends
            and text[start:end].replace("-", "").replace(" ", "") == "IL2"
        )
        last = end
    if "IL-2" in parts:
        assert last


def test_similar_sentences_are_those_of_a_plain_comparison():
    similar = Similar()
    base = "The dose of {} was raised by ten percent in each week until the {} of the patients had gone away"
    assert not similar.add(base.format("one", "pain"))
    assert similar.add(base.format("two", "pain"))
    assert not similar.add("A wholly different sentence that has no run of words in common with the first")
    assert len(similar) == 2


def test_row_lines(tmp_path):
    first = row(changed(sentence="\ud800"))
    failed = row(None, rejected="time-out", detail="x", negative=True)
    (tmp_path / "rows.jsonl").write_text(f"{first.to_line()}\n\n{failed.to_line()}\n", encoding="utf-8")
    assert [one for _, one in read(tmp_path / "rows.jsonl")] == [first, failed]
    (tmp_path / "bad.jsonl").write_text('{"pairs": []}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl:1: is no row"):
        list(read(tmp_path / "bad.jsonl"))


@pytest.mark.parametrize(
    "wrong",
    [{"rejected": ["x"]}, {"rejected": {}}, {"known": [[0, 2, "gene", ["x"]]]}, {"known": [5]}, {"types": "abc"}],
)
def test_what_is_no_row_is_said(tmp_path, wrong):
    (tmp_path / "bad.jsonl").write_text(json.dumps(json.loads(row().to_line()) | wrong))
    with pytest.raises(InputError, match=r"bad\.jsonl:1: is no row"):
        list(read(tmp_path / "bad.jsonl"))


def test_command(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
    lines = []
    for number in range(20):
        for ends in (
            (End(f"G:{number}", "Gene", f"gene{number}"), End("D:1", "Disease", "asthma")),
            (End(f"G:1{number}", "Gene", f"kinase{number}"), End(f"D:2{number}", "Disease", f"gout{number}")),
        ):
            head, tail = ends
            text = f"Number {number * 7919} is what {head.name} has in {number**5} of all cases of {tail.name}."
            ner = [{"mention": head.name, "type": "gene"}, {"mention": tail.name, "type": "disease"}]
            pair = Pair(f"{tail.name}:{number}", "linked" if tail.name == "asthma" else "alone", *ends)
            lines.append(row({"sentence": text, "ner": ner}, id=f"a:{pair.id}", pairs=(pair,)).to_line())
    lines.append(row(None, id="a:x", rejected="time-out").to_line())
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    with pytest.raises(SystemExit) as stopped:
        main(["data", "check", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "bmg"), "--also", "gliner",
              "--also", "bmg", "--also", "pubtator", "--png", "--without", "similar", "--unseen", "none",
              "--quiet"])  # fmt: skip
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert stopped.value.code == 0 and said["written"] == 41 == said["kept"] + sum(said["rejected"].values())
    assert said["splits"]["dev"] == said["splits"]["test"] == 4
    sources = [json.loads(line) for line in (tmp_path / "bmg" / "provenance.jsonl").read_text().splitlines()]
    ends = {split: {end["id"] for one in sources if one["split"] == split for pair in one["pairs"]
                    for end in (pair["head"], pair["tail"])} for split in said["splits"]}  # fmt: skip
    assert not ends["train"] & ends["test"] and not ends["train"] & ends["dev"]
    train = list(jsonl.read(tmp_path / "bmg" / "train.jsonl", report=Report()))
    assert (tmp_path / "bmg" / "report.png").read_bytes().startswith(b"\x89PNG")
    for reader, ending in ((gliner, "gliner/train.jsonl"), (bmg, "bmg/train.jsonl"), (pubtator, "pubtator/train.txt")):
        again = reader.read(tmp_path / "bmg" / ending, report=Report())
        assert [[one.text for one in document.mentions] for document in again] == [
            [one.text for one in document.mentions] for document in train
        ]
    assert len(corpora.load("bmg", tmp_path / "bmg", "train")) == said["splits"]["train"]
    assert "time-out" in (tmp_path / "bmg" / "report.html").read_text()
    assert "40 of 41" in (tmp_path / "bmg" / "README.md").read_text()
    for wrong in (["--without", "nothing"], ["--shares", "1"], ["--also", "docx"]):
        with pytest.raises(SystemExit) as stopped:
            main(["data", "check", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "bad"), *wrong])
        assert stopped.value.code == 2 and not (tmp_path / "bad").exists()


def test_bmg_records_hold_the_papers_fields(tmp_path):
    document = Document("1", "IL-2 and asthma", (Mention(0, 4, "gene", entity="G:1"), Mention(9, 15, "disease")))
    record = bmg.record(document, [("IL-2", "G:1"), ("asthma", "D:1")], Report(), tmp_path)
    assert record == {
        "tokenized_text": ["IL", "-", "2", "and", "asthma"],
        "ner": [[0, 2, "gene"], [4, 4, "disease"]],
        "kge": [["IL-2", "G:1"], ["asthma", "D:1"]],
        "entity_spans": [[0, 2, "gene"]],
        "kges": [[0, 2, "G:1"]],
    }
    bmg.write(tmp_path / "a.jsonl", [record])
    (again,) = bmg.read(tmp_path / "a.jsonl", report=Report())
    assert [(one.text, one.type, one.entity) for one in again.mentions] == [
        ("IL - 2", "gene", "G:1"), ("asthma", "disease", None)
    ]  # fmt: skip


def test_bmg_records_point_at_the_name_that_was_given(tmp_path):
    text = "Acetylsalicylic acid, that is Aspirin."
    mentions = (Mention(0, 20, "chemical", entity="C:1"), Mention(30, 37, "chemical", entity="C:1"))
    record = bmg.record(Document("1", text, mentions), [("aspirin", "C:1")], Report(), tmp_path)
    assert record["kges"] == [[5, 5, "C:1"]]


def test_gliner_files_inclusive_ends_and_what_cannot_be_held(tmp_path):
    report = Report()
    gliner.write(
        tmp_path / "a.jsonl", [Document("1", "ab cd", (Mention(0, 1, "x"), Mention(3, 5, "y")))], report=report
    )
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {"tokenized_text": ["ab", "cd"], "ner": [[1, 1, "y"]]}
    assert report.skipped == {gliner.OFF_WORDS: 1}
    (tmp_path / "b.json").write_text('[{"tokenized_text": ["a", "b"], "ner": [[0, 1, "x"], [1, 2, "x"], [1]]}]')
    read_report = Report()
    (document,) = gliner.read(tmp_path / "b.json", report=read_report)
    assert [(one.start, one.end) for one in document.mentions] == [(0, 3)]
    assert read_report.skipped == {gliner.BAD_SPAN: 2}
    for text, says in (("[1]", "each example must be"), ("[", "not JSON"), ("[]", "no example")):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(InputError, match=says):
            list(gliner.read(tmp_path / "c.json", report=Report()))


@given(
    st.text(min_size=1),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9), st.sampled_from(["gene", "cell line"])), max_size=4),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pubtator_files_keep_offsets_and_types(tmp_path, text, spans):
    mentions = tuple(
        Mention(start, start + size, kind, entity="MESH:D1")
        for start, size, kind in dict.fromkeys(spans)
        if start + size <= len(text)
    )
    pubtator.write(tmp_path / "a.txt", [Document("1", text, mentions)], report=Report())
    report = Report()
    (again,) = pubtator.read(tmp_path / "a.txt", report=report)
    assert len(again.text) == len(text) and not report.skipped
    assert [one.key for one in again.mentions] == [one.key for one in mentions]
