import gzip
import os
from collections import Counter
from pathlib import Path

import pytest

from kogner.data import corpora
from kogner.data.formats import jsonl
from kogner.errors import InputError
from kogner.records import Document, Mention

PUBTATOR = "1|t|Zincol heals\n1|a|gout\n1\t0\t6\tZincol\t{}\t{}\n1\t13\t17\tgout\t{}\t{}\n\n"
CONLL = "zincol\tB-{0}\nheals\tO\ngout\tB-{0}\n\n"


def folder(tmp_path, **files):
    for name, content in files.items():
        path = tmp_path / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("CDR_TrainingSet.txt.gz", "CDR_DevelopmentSet.PubTator.txt", "CDR_TestSet.PubTator.txt"), "train dev test"),
        (("NCBItrainset_corpus.txt", "NCBIdevelopset_corpus.txt", "NCBItestset_corpus.txt"), "train dev test"),
        (("train.tsv.xz", "devel.tsv.gz", "README.md", ".test.tsv", "artifact.json"), "train dev"),
        (("GNormPlus_Test.PubTator", "latest.txt"), "test"),
        (("dev.jsonlines", "valid_notes.csv"), "dev"),
    ],
)  # fmt: skip
def test_splits_are_found_by_file_names(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).touch()
    found = corpora.splits(tmp_path)
    assert list(found) == expected.split()
    assert list(found.values()) == [tmp_path / name for name in names[: len(found)]]


def test_folders_without_or_with_two_files_for_a_split_are_errors(tmp_path):
    with pytest.raises(InputError, match="holds no corpus"):
        corpora.splits(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        corpora.splits(tmp_path / "nowhere")
    folder(tmp_path, train__tsv="", train__jsonl="")
    with pytest.raises(InputError, match=r"train\.jsonl and train\.tsv both look like the train split"):
        corpora.splits(tmp_path)


def test_a_split_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(InputError, match="no dev split, only train, test"):
        corpora.load("x", folder(tmp_path, train__tsv=CONLL.format("X"), test__tsv=CONLL.format("X")), "dev")


def test_a_file_stands_for_the_split_in_its_name_or_for_test(tmp_path):
    folder(tmp_path, train__tsv="", notes__jsonl="")
    assert corpora.splits(tmp_path / "train.tsv") == {"train": tmp_path / "train.tsv"}
    assert corpora.splits(tmp_path / "notes.jsonl") == {"test": tmp_path / "notes.jsonl"}


@pytest.mark.parametrize(
    ("name", "raw", "ids", "types", "prefixed"),
    [
        ("bc5cdr", ("Chemical", "Disease"), ("D000001", "OMIM:2"), ("chemical", "disease"), ("MESH:D000001", "OMIM:2")),
        ("unheard", ("Chemical", "Disease"), ("D000001", ""), ("chemical", "disease"), ("MESH:D000001",)),
        ("ncbi-disease", ("Modifier", "DiseaseClass"), ("C000001", "-1"), ("disease", "disease"), ("MESH:C000001",)),
        ("unheard", ("SpecificDisease", "Modifier"), ("", ""), ("disease", "disease"), ()),
        ("gnormplus", ("FamilyName", "DomainMotif"), ("", "12"), ("gene", "domain or motif"), ("NCBIGene:12",)),
        (
            "linnaeus",
            ("Species", "Species"),
            ("9606", "10090"),
            ("species",) * 2,
            ("NCBITaxon:9606", "NCBITaxon:10090"),
        ),
        ("unheard", ("Odd_Thing", "B"), ("X:1", "7"), ("odd thing", "b"), ("X:1", "7")),
    ],
)
def test_types_and_ids_of_pubtator_corpora(tmp_path, name, raw, ids, types, prefixed):
    content = PUBTATOR.format(raw[0], ids[0], raw[1], ids[1])
    corpus = corpora.load(name, folder(tmp_path, Some_Test__PubTator=content), "test")
    (document,) = corpus.documents
    assert tuple(m.type for m in document.mentions) == types
    assert tuple(one for m in document.mentions for one in m.ids) == prefixed
    assert document.types == set(corpus.types) >= set(types)


def test_types_outside_the_task_are_noted_and_left_out(tmp_path):
    content = PUBTATOR.format("Chemical", "", "OTHER", "")
    corpus = corpora.load("nlmchem", folder(tmp_path, test__txt=content), "test")
    assert (corpus.mentions, corpus.types) == (1, ("chemical",))
    assert corpus.report.noted == {"mention of type OTHER, not part of the task": 1}


def test_a_type_that_a_known_corpus_does_not_have_is_kept_and_noted(tmp_path):
    content = PUBTATOR.format("Chemical", "", "Side_Effect", "")
    corpus = corpora.load("bc5cdr", folder(tmp_path, test__txt=content), "test")
    assert corpus.types == ("chemical", "disease", "side effect")
    assert corpus.report.noted.total() == 1


@pytest.mark.parametrize(
    ("name", "raw", "types"),
    [
        ("bc2gm", "GENE", ("gene",)),
        ("unheard", "GENE", ("gene",)),
        ("jnlpba", "GP", ("DNA", "RNA", "cell line", "cell type", "protein")),
        ("unheard", "cell_type", ("cell type",)),
    ],
)
def test_types_of_conll_corpora(tmp_path, name, raw, types):
    corpus = corpora.load(name, folder(tmp_path, train__tsv=CONLL.format(raw)), "train")
    assert corpus.types == types
    assert corpus.mentions == 2


def test_json_lines_keep_their_types_and_unstated_ones_are_those_seen(tmp_path):
    mention = Mention(0, 4, "Trace_Metal", "zinc", ("X:1",), "X:1")
    stated = Document("a", "zinc rose", (mention,), frozenset({"Trace_Metal", "Alloy"}))
    jsonl.write(tmp_path / "train.jsonl", [stated, Document("b", "zinc", (mention,))])
    corpus = corpora.load("bc5cdr", tmp_path, "train")
    assert corpus.types == ("Alloy", "Trace_Metal")
    assert corpus.documents[0] == stated
    assert corpus.documents[1].types == {"Alloy", "Trace_Metal"}


def test_a_mention_that_stands_twice_counts_twice(tmp_path):
    content = PUBTATOR.format("Chemical", "", "Disease", "").rstrip("\n") + "\n1\t13\t17\tgout\tDisease\t\n"
    corpus = corpora.load("bc5cdr", folder(tmp_path, test__txt=content), "test")
    assert corpus.mentions == 3
    assert corpus.report.noted == {corpora.TWICE: 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n \n", "nothing but blank lines"),
        (b"\x89PNG\x00\x00", "binary"),
        (b"token,tag\nzinc,O\n", r":1: is none of the known formats"),
        (b"1|t|Zinc\n1|a|rose\n1 0 4 Zinc Chemical D1\n", r":3: expected"),
        (b"zinc\tO\nros\xe9\tO\n", r":2: not UTF-8"),
        (gzip.compress(b"zinc\tO\n" * 5000, mtime=0)[:-9], "damaged"),
    ],
)
def test_bad_files_give_one_clear_error(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        corpora.load("mine", folder(tmp_path, train__txt=content), "train")


SHARED = Path(os.environ.get("KOGNER_SHARED") or Path(__file__).parents[3] / "shared") / "corpora"


@pytest.mark.parametrize(
    ("name", "split", "documents", "gold"),
    [
        # Mentions as counted in the files line by line, whatever a reader makes of them.
        ("bc5cdr", "train", 500, {"chemical": 5203, "disease": 4182}),
        ("bc5cdr", "test", 500, {"chemical": 5385, "disease": 4424}),
        ("ncbi_disease", "train", 592, {"disease": 5134}),
        ("ncbi_disease", "test", 100, {"disease": 960}),
        ("bc2gm", "test", 5038, {"gene": 6325}),
        ("jnlpba", "test", 3856, {"protein": 5067, "DNA": 1056, "RNA": 118, "cell type": 1921, "cell line": 500}),
        ("jnlpba", "train", 16713, {"protein": 27803, "DNA": 8481, "RNA": 844, "cell type": 6192, "cell line": 3430}),
        ("genia", "test", 1732, {"protein": 2900, "DNA": 1132, "RNA": 106, "cell type": 578, "cell line": 403}),
        ("gnormplus", "test", 262, {"gene": 4490, "domain or motif": 359}),
        ("nlmchem", "test", 3428, {"chemical": 11772}),
        ("linnaeus", "test", 20, {"species": 576}),
    ],
)
def test_every_mention_of_the_real_corpora_is_read(name, split, documents, gold):
    if not (SHARED / name).is_dir():
        pytest.skip(f"no corpus at {SHARED / name}; set KOGNER_SHARED to the folder that holds corpora/")
    corpus = corpora.load(name, SHARED / name, split)
    assert len(corpus) == documents
    assert Counter(m.type for d in corpus.documents for m in d.mentions) == gold
    assert all(d.text[m.start : m.end] == m.text for d in corpus.documents for m in d.mentions)
    assert set(corpus.types) == set(gold)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('[{"tokenized_text": ["IL-2"], "ner": [[0, 0, "gene"]]}]', "gliner"),
        ('[\n  {\n "tokenized_text": ["IL-2"], "ner": [[0, 0, "gene"]]\n }\n]', "gliner"),
        ('{"tokenized_text": ["tokens", "kges"], "ner": [[0, 0, "gene"]]}', "gliner"),
        (
            '{"tokenized_text": ["a"], "ner": [[0, 0, "gene"]], "kge": [], "kges": [[0, 0, "G:1"]]}',
            "bmg",
        ),
        ("[\tO\nIL-2\tB-gene\n", "conll"),
        ('{"text": "tokenized_text kges"}', "jsonl"),
    ],
)
def test_json_files_are_told_by_their_keys(tmp_path, text, kind):
    file = tmp_path / "train.json"
    file.write_text(text)
    assert corpora.detect(file) == kind
    corpus = corpora.load("mine", file, "train")
    assert len(corpus) == 1 and corpus.mentions == (kind != "jsonl")
    assert [m.entity for m in corpus.documents[0].mentions] == ["G:1"] * (kind == "bmg") or kind != "bmg"
