"""From a graph to a corpus by the commands: pairs, rows about them, and `kogner data check` with its options."""

import json

import pytest

from kogner import artifacts
from kogner.cli import main
from kogner.data import checking, corpora
from kogner.data import pairs as drawn
from kogner.data.check_unseen import SEEN
from kogner.data.pairs import End, Pair
from kogner.data.prompts import spoken
from kogner.data.rows import Row
from kogner.graph.store import build
from kogner.records import Entity, Triple

RELATIONS = ("causes", "treats", "marks", "blocks", "binds")
TYPES = ("gene", "disease", "chemical")


def run(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as stopped:
        main(["data", *map(str, arguments), "--quiet"])
    assert stopped.value.code == code
    printed = capsys.readouterr()
    return json.loads(printed.out.splitlines()[-1]) if code == 0 else printed.err


@pytest.fixture
def graph(tmp_path):
    entities = [Entity(f"G:{n}", "Gene", f"gene{n}x") for n in range(60)]
    entities += [Entity(f"D:{n}", "Disease", f"ache{n}x") for n in range(60)]
    triples = [Triple(f"G:{n}", RELATIONS[n % 5], f"D:{n}") for n in range(60)]
    build([*entities, Entity("C:1", "Chemical", "zincol")], triples, tmp_path / "graph")
    return tmp_path / "graph"


@pytest.fixture
def pairs(graph, tmp_path, capsys):
    said = run(capsys, "pairs", "--graph", graph, "--number", 8, "--out", tmp_path / "pairs.jsonl")
    assert said["pairs"] == 40
    return list(drawn.read(tmp_path / "pairs.jsonl"))


def rows(path, pairs, text="In case {n} the level of {head} was {m} while {tail} and {head} met zincol."):
    made = []
    for n, pair in enumerate(pairs):
        sentence = text.format(n=n**4, m=n * 7919, head=pair.head.name, tail=pair.tail.name)
        ner = [{"mention": end.name, "type": spoken(end.type)} for end in (pair.head, pair.tail)]
        answer = {"sentence": sentence, "ner": ner}
        made.append(Row(f"a:{pair.id}", (pair,), TYPES, "a@1", "m", str(n), answer=answer).to_line())
    path.write_text("".join(f"{line}\n" for line in made))
    return path


def test_split_by_relation_keeps_each_relation_in_one_split(pairs, tmp_path, capsys):
    source, out = rows(tmp_path / "rows.jsonl", pairs), tmp_path / "bmg"
    said = run(capsys, "check", source, "--split", "relation", "--shares", "0.6,0.2,0.2", "--without", "similar",
               "--out", out)  # fmt: skip
    assert said["splits"] == {"train": 24, "dev": 8, "test": 8}
    places = {}
    for line in (out / "provenance.jsonl").read_text().splitlines():
        one = json.loads(line)
        places.setdefault(one["pairs"][0]["relation"], set()).add(one["split"])
    assert set(places) == set(RELATIONS) and all(len(splits) == 1 for splits in places.values())
    assert "split by relation" in (out / "README.md").read_text()
    for split, count in said["splits"].items():
        assert len(corpora.load("bmg", out, split)) == count


def test_no_training_sentence_mentions_an_entity_of_dev_or_test(pairs, tmp_path, capsys):
    source, last = tmp_path / "rows.jsonl", pairs[-1].head
    with source.open("w") as stream:
        # every sentence mentions C:1, every second one the last pair's gene as well
        for n, pair in enumerate(pairs):
            sentence = f"In case {n**4} the level of {pair.head.name} was {n * 7919} while {pair.tail.name} met zincol."
            known = [(sentence.index("zincol"), len(sentence) - 1, "chemical", "C:1")]
            if n % 2:
                sentence += f" So did {last.name}."
                known.append((sentence.rindex(last.name), len(sentence) - 1, "gene", last.id))
            ner = [{"mention": end.name, "type": spoken(end.type)} for end in (pair.head, pair.tail)]
            answer = {"sentence": sentence, "ner": ner}
            row = Row(f"a:{pair.id}", (pair,), TYPES, "a@1", "m", str(n), answer=answer, known=tuple(known))
            stream.write(f"{row.to_line()}\n")
    base = ("check", source, "--without", "similar", "--out")
    seeds = range(20)  # until the last pair is in dev or test
    for seed in seeds:
        none = run(capsys, *base, tmp_path / "none", "--unseen", "none", "--seed", seed)
        split = {json.loads(line)["id"]: json.loads(line)["split"] for line in
                 (tmp_path / "none" / "provenance.jsonl").read_text().splitlines()}  # fmt: skip
        if split[f"a:{pairs[-1].id}"] != "train":
            break
    assert none["kept"] == 40 and not none["rejected"]
    usual = run(capsys, *base, tmp_path / "usual", "--seed", seed)
    every = run(capsys, *base, tmp_path / "every", "--unseen", "all", "--seed", seed)
    out = [name for n, name in enumerate(split) if n % 2 and split[name] == "train"]
    assert out and usual["rejected"] == {SEEN: len(out)} and usual["kept"] == 40 - len(out)
    assert usual["splits"]["train"] == none["splits"]["train"] - len(out)
    assert usual["mentions"]["chemical"] == none["mentions"]["chemical"] - len(out)
    left_out = [json.loads(line) for line in (tmp_path / "usual" / "rejected.jsonl").read_text().splitlines()]
    assert [one["id"] for one in left_out] == out and all(last.id in one["detail"] for one in left_out)
    assert artifacts.read_manifest(tmp_path / "usual").metrics["seen_in_training"] == 1  # C:1, of no pair
    assert every["splits"]["train"] == 0  # all of them mention C:1, as dev does
    assert artifacts.read_manifest(tmp_path / "every").metrics["seen_in_training"] == 0


def test_an_entity_of_test_is_told_by_its_name_too(pairs, tmp_path, capsys):
    last = pairs[-1].head
    text = "In case {n} the level of {head} was {m} while {tail} met " + last.name + " again."
    source = tmp_path / "rows.jsonl"
    with source.open("w") as stream:
        for n, pair in enumerate(pairs):  # every sentence annotates the last pair's gene, without an id
            sentence = text.format(n=n**4, m=n * 7919, head=pair.head.name, tail=pair.tail.name)
            ner = [{"mention": end.name, "type": spoken(end.type)} for end in (pair.head, pair.tail)]
            answer = {"sentence": sentence, "ner": [*ner, {"mention": last.name, "type": "gene"}]}
            stream.write(Row(f"a:{pair.id}", (pair,), TYPES, "a@1", "m", str(n), answer=answer).to_line() + "\n")
    base = ("check", source, "--without", "similar", "--out", tmp_path / "bmg")
    every = [run(capsys, *base, "--seed", seed, "--unseen", which) for seed in range(12) for which in ("none", "pairs")]
    held = [usual for none, usual in zip(every[::2], every[1::2], strict=True) if usual["kept"] < none["kept"]]
    assert held and all(one["splits"]["train"] == 0 for one in held)  # where the last pair is in dev or test


def linked(heads, tails):
    ends = zip(heads, tails, strict=True)
    return [
        Pair(f"linked:{n}", "linked", End(f"G:{n}", "Gene", one), End(f"D:{n}", "Disease", two))
        for n, (one, two) in enumerate(ends)
    ]


def numbered(count, first=0):
    return [f"gene{n}x" for n in range(first, count)], [f"ache{n}x" for n in range(first, count)]


@pytest.mark.parametrize(
    ("other", "seen"), [("gene{n}x", True), ("gene-{n}x", True), ("gene{n}xy", False), ("gene{n}x kinase", True)]
)
def test_a_name_of_test_that_nothing_annotates_is_seen(tmp_path, capsys, other, seen):
    pairs = linked(*numbered(10))
    said = {}
    for which in ("none", "pairs"):
        for text in ("", f" So did {', '.join(other.format(n=n) for n in range(10))}."):
            text = "In case {n} the level of {head} was {m} while {tail} was there." + text
            source = rows(tmp_path / "rows.jsonl", pairs, text)
            run(capsys, "check", source, "--without", "similar", "--unseen", which, "--out", tmp_path / "bmg")
            said[which, text.endswith("there.")] = artifacts.read_manifest(tmp_path / "bmg").metrics
    assert said["pairs", True]["splits"] == {"train": 8, "dev": 1, "test": 1}
    assert {one["seen_in_training"] for (_, alone), one in said.items() if alone} == {0}
    assert said["none", False]["seen_in_training"] == (2 if seen else 0)
    assert said["pairs", False]["splits"]["train"] == (0 if seen else 8)
    assert said["pairs", False]["seen_in_training"] == 0


def test_a_name_inside_a_longer_annotated_one_is_not_seen(tmp_path, capsys):
    heads, tails = numbered(8)
    pairs = linked(["NF1 ligand", "NF1", *heads], ["rash", "gout", *tails])
    source = rows(tmp_path / "rows.jsonl", pairs, "In case {n} the level of {head} was {m} while {tail} was there.")
    held = 0
    for seed in range(20):
        said = run(capsys, "check", source, "--without", "similar", "--seed", seed, "--out", tmp_path / "bmg")
        assert said["kept"] == 10
        held += "NF1 was" not in (tmp_path / "bmg" / "train.jsonl").read_text()
    assert held  # in dev or test


def test_case_tells_symbols_from_words(tmp_path, capsys):
    heads, tails = numbered(9)
    pairs = linked(["WAS", *heads], ["gout", *tails])
    source = rows(tmp_path / "rows.jsonl", pairs, "In case {n} the level of {head} was {m} while {tail} was there.")
    for seed in range(20):
        said = run(capsys, "check", source, "--without", "similar", "--seed", seed, "--out", tmp_path / "bmg")
        assert said["kept"] == 10


def test_entities_of_one_name_are_in_one_split_and_nothing_is_left_out_for_it(tmp_path, capsys):
    heads, tails = numbered(20)
    pairs = linked([heads[n // 2] for n in range(20)], tails)
    source = rows(tmp_path / "rows.jsonl", pairs, "In case {n} the level of {head} was {m} while {tail} was there.")
    for seed in range(5):
        said = run(capsys, "check", source, "--without", "similar", "--seed", seed, "--out", tmp_path / "bmg")
        assert said["kept"] == 20 and said["splits"] == {"train": 16, "dev": 2, "test": 2}


def test_paper_leaves_no_training_sentence_out(tmp_path, capsys):
    pairs = linked(*numbered(10))
    every = " ".join(pair.head.name for pair in pairs)
    source = rows(tmp_path / "rows.jsonl", pairs, "In case {n} {head} was {m} while {tail} was there. So did " + every)
    assert run(capsys, "check", source, "--paper", "--out", tmp_path / "bmg")["kept"] == 10
    assert artifacts.read_manifest(tmp_path / "bmg").metrics["seen_in_training"] == 2
    assert run(capsys, "check", source, "--paper", "--unseen", "pairs", "--out", tmp_path / "bmg")["kept"] == 2


def test_paper_leaves_all_but_the_first_places_out(pairs, tmp_path, capsys):
    source = rows(tmp_path / "rows.jsonl", pairs)
    usual = run(capsys, "check", source, "--without", "similar", "--out", tmp_path / "usual")
    paper = run(capsys, "check", source, "--paper", "--out", tmp_path / "paper")
    assert usual["mentions"] == {"gene": 80, "disease": 40} and paper["mentions"] == {"gene": 40, "disease": 40}
    short = rows(tmp_path / "short.jsonl", pairs, "{head} as {tail}")
    assert run(capsys, "check", short, "--paper", "--out", tmp_path / "paper")["kept"] == 40
    assert run(capsys, "check", short, "--out", tmp_path / "usual")["kept"] == 0


def test_a_card_says_where_its_sentences_are_from(tmp_path, capsys):
    source, card = rows(tmp_path / "rows.jsonl", linked(*numbered(10))), tmp_path / "bmg" / "README.md"
    run(capsys, "check", source, "--without", "similar", "--out", tmp_path / "bmg")
    assert "# Sentences written about pairs" in card.read_text() and "Written by: m (10)" in card.read_text()
    provenance = (tmp_path / "bmg" / "provenance.jsonl").read_text()
    assert "asked" not in provenance
    source.write_text(source.read_text().replace('"model": "m"', '"model": "text"'))
    run(capsys, "check", source, "--without", "similar", "--out", tmp_path / "bmg")
    said = card.read_text()
    assert (
        "# Sentences of texts that name pairs of a knowledge graph" in said and "10 of 10 sentences were kept" in said
    )
    assert "written" not in said.lower() and "prompt" not in said.lower()
    assert (tmp_path / "bmg" / "provenance.jsonl").read_text() == provenance.replace('"model": "m"', '"model": "text"')


def test_names_of_the_graph_are_added_and_the_graph_is_named(graph, pairs, tmp_path, capsys):
    source = rows(tmp_path / "rows.jsonl", pairs)
    index = tmp_path / "index"
    said = run(capsys, "check", source, "--without", "similar", "--graph", graph, "--index", index,
               "--out", tmp_path / "bmg")  # fmt: skip
    assert said["mentions"] == {"gene": 80, "disease": 40, "chemical": 40} and (index / "artifact.json").is_file()
    documents = corpora.load("bmg", tmp_path / "bmg", "train").documents
    linked = {one.entity for document in documents for one in document.mentions if one.type == "chemical"}
    assert linked == {"C:1"}
    own = artifacts.read_manifest(graph).hash
    assert artifacts.read_manifest(tmp_path / "bmg").parents == {"graph": own}
    assert own in (tmp_path / "bmg" / "README.md").read_text()


def test_files_follow_each_other(pairs, tmp_path, capsys):
    first, second = (rows(tmp_path / f"{name}.jsonl", part) for name, part in (("a", pairs[:25]), ("b", pairs[25:])))
    both = run(capsys, "check", first, second, "--without", "similar", "--out", tmp_path / "both")
    assert both["written"] == both["kept"] == 40
    same = run(capsys, "check", first, first, "--out", tmp_path / "same")  # a sentence counts once over all files
    assert same["written"] == 50 and same["kept"] <= 25 and sum(same["rejected"].values()) >= 25


@pytest.mark.parametrize("form", checking.FORMATS)
def test_what_is_written_in_other_formats_is_a_corpus_as_well(form, pairs, tmp_path, capsys):
    source, out = rows(tmp_path / "rows.jsonl", pairs), tmp_path / "bmg"
    run(capsys, "check", source, "--without", "similar", "--also", form, "--out", out)
    assert corpora.detect(next((out / form).glob("train.*"))) == form
    for split in ("train", "dev", "test"):
        own, other = corpora.load("bmg", out, split), corpora.load("bmg", out / form, split)
        assert len(own) == len(other) > 0 and set(other.types) <= set(own.types) and not other.report.skipped
        for first, second in zip(own.documents, other.documents, strict=True):
            assert [(m.text, m.type) for m in first.mentions] == [
                (second.text[m.start : m.end], m.type) for m in second.mentions
            ]
        if form == "bmg":  # the first places of a pair are linked
            assert {m.entity for one in other.documents for m in one.mentions} == {
                *(m.entity for one in own.documents for m in one.mentions), None
            }  # fmt: skip
    printed = run(capsys, "info", "--data", f"made={out / form}")
    assert printed["made"]["test"]["mentions"] == own.mentions > 0


def test_processes_change_nothing(graph, pairs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(checking, "CHUNK", 7)
    source = rows(tmp_path / "rows.jsonl", [*pairs, *pairs[:5]])
    with source.open("a") as stream:
        stream.write("\n" + Row("a:x", (pairs[0],), TYPES, "a@1", "m", "x", rejected="time-out").to_line() + "\n")
    also = [part for name in checking.FORMATS for part in ("--also", name)]
    options = ["--graph", graph, *also]
    alone, several = (
        run(capsys, "check", source, *options, "--processes", count, "--out", tmp_path / f"by{count}")
        for count in (1, 2)
    )
    assert alone["rejected"] and alone["kept"]
    assert {**alone, "out": ""} == {**several, "out": ""}
    files = [path.relative_to(tmp_path / "by1") for path in sorted((tmp_path / "by1").rglob("*")) if path.is_file()]
    assert any(path.parts[0] == "pubtator" for path in files)
    for path in files:
        if path.name != artifacts.MANIFEST:
            assert (tmp_path / "by1" / path).read_bytes() == (tmp_path / "by2" / path).read_bytes()
    with source.open("a") as stream:
        stream.write('{"pairs": []}\n')
    for count in (1, 2):
        said = run(capsys, "check", source, "--processes", count, "--out", tmp_path / "bad", code=2)
        assert "rows.jsonl:48: is no row" in " ".join(said.split())
    assert not (tmp_path / "bad").exists()
