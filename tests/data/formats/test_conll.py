import tracemalloc

import pytest

from kogner.data.formats import conll
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.evaluate.significance import document_counts

# One sentence with two entities side by side, in the three schemes.
TOKENS = ["The", "zinc", "finger", "p53", "binds", "DNA", "."]
SCHEMES = {
    "iob": ["O", "I-prot", "I-prot", "B-prot", "O", "I-dna", "O"],
    "iob2": ["O", "B-prot", "I-prot", "B-prot", "O", "B-dna", "O"],
    "iobes": ["O", "B-prot", "E-prot", "S-prot", "O", "S-dna", "O"],
    "bilou": ["O", "B-prot", "L-prot", "U-prot", "O", "U-dna", "O"],
}


def lines(tokens, tags, separator="\t"):
    return "".join(f"{token}{separator}{tag}\n" for token, tag in zip(tokens, tags, strict=True))


def read(tmp_path, content, *, strict=False, **options):
    path = tmp_path / "train.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = Report(strict=strict)
    return list(conll.read(path, report=report, **options)), report


def test_documents_that_the_file_tells_apart_are_in_the_ids(tmp_path):
    begin, one = "-DOCSTART-\tO\n\n", lines(["A", "."], ["B-x", "O"], "\t")
    documents, _ = read(tmp_path, f"{begin}{one}\n{one}\n{begin}{one}")
    assert [document.id for document in documents] == ["train:1#1", "train:1#2", "train:2#3"]
    assert document_counts(documents, documents, types=["x"]) == [(2, 2, 2), (1, 1, 1)]
    title = lines(["A", "b"], ["O", "B-x"], "\t")  # without a full stop, and the next goes on as it ends
    more = lines(["c", "."], ["I-x", "O"], "\t")
    documents, report = read(tmp_path, f"{begin}{title}\n{begin}{more}", split_again=True)
    assert [(one.id, one.text) for one in documents] == [("train:1#1", "A b"), ("train:2#2", "c .")]
    assert not report.repaired.get(conll.DRIFTED)


@pytest.mark.parametrize("separator", ["\t", " ", "\tNN\t"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_schemes_give_the_same_mentions(tmp_path, scheme, separator):
    content = lines(TOKENS, SCHEMES[scheme], separator)
    documents, report = read(tmp_path, f"-DOCSTART-{separator}O\n\n{content}\n\n{content}".replace("\n", "\r\n"))
    assert [document.id for document in documents] == ["train:1", "train:2"]
    for document in documents:
        assert document.text == "The zinc finger p53 binds DNA ."
        assert [(m.text, m.type) for m in document.mentions] == [
            ("zinc finger", "prot"),
            ("p53", "prot"),
            ("DNA", "dna"),
        ]
        assert all(document.text[m.start : m.end] == m.text for m in document.mentions)
    assert report == Report()


def test_an_inside_tag_without_a_begin_is_repaired_and_counted(tmp_path):
    content = lines(["Wild", "p53", "binds", "ras"], ["O", "I-prot", "O", "B-prot"])
    (document,), report = read(tmp_path, content)
    assert [m.text for m in document.mentions] == ["p53", "ras"]
    assert report.repaired == {conll.STRAY: 1}
    with pytest.raises(InputError, match=r"train.tsv:2 \(document train:1\): I or E without B"):
        read(tmp_path, content, strict=True)


def drifted(count):
    """Sentences whose blank lines come one token late, so that each cuts the entity `IL four`."""
    sentence = ["IL", "four", "rose", "."]
    tags = ["B-GP", "E-GP", "O", "O"]
    flat = lines(sentence * count, tags * count).splitlines(keepends=True)
    return "".join(line + ("\n" if index % 4 == 0 else "") for index, line in enumerate(flat))


def test_a_drifting_file_is_joined_and_split_again(tmp_path):
    documents, report = read(tmp_path, drifted(30))
    assert [document.text for document in documents] == ["IL four rose ."] * 30
    assert [m.text for document in documents for m in document.mentions] == ["IL four"] * 30
    assert report.repaired == {conll.DRIFTED: 30}


def test_blank_lines_count_when_asked(tmp_path):
    documents, report = read(tmp_path, drifted(30), split_again=False)
    assert len(documents) == 31
    assert report.repaired == {conll.STRAY: 30}


def test_an_entity_with_a_full_stop_is_not_split(tmp_path):
    content = lines(["the", "PU", ".", "one", "gene", "."], ["O", "B-GP", "I-GP", "E-GP", "O", "O"])
    documents, _ = read(tmp_path, content, split_again=True)
    assert [m.text for document in documents for m in document.mentions] == ["PU . one"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("The,O\n", r"train.tsv:1: a line needs a token and a tag"),
        ("The\tO\nzinc\tprotein\n", r":2: a line needs"),
        ("The\n", r":1: a line needs"),
        ("O\n", r":1: a line needs"),
        ("\n\n", "no tokens"),
        ("", "empty"),
        (b"\x00\x01", "binary"),
        (b"zinc\tO\nz\xefnc\tO\n", r":2: not UTF-8"),
    ],
)
def test_bad_files_are_named_with_their_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_an_empty_token_is_skipped_and_counted(tmp_path):
    (document,), report = read(tmp_path, "zinc\tO\n \tO\nrose\tO\n")
    assert document.text == "zinc rose"
    assert report.skipped == {"empty token": 1}


def test_sentences_come_before_the_file_has_ended(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text(lines(["p53", "binds"], ["B-GP", "O"]) + "\n" + lines(["ras", "rose"], ["B-GP", "none"]))
    found = conll.read(path, report=Report())
    assert next(found).text == "p53 binds"
    with pytest.raises(InputError, match=r"train.tsv:5: a line needs"):
        next(found)


@pytest.mark.parametrize("content", [lambda count: drifted(count), lambda count: "p53\tB-GP\nrose\tO\n\n" * count])
def test_memory_does_not_grow_with_the_file(tmp_path, content):
    def peak(count):
        path = tmp_path / "train.tsv"
        path.write_text(content(count))
        tracemalloc.start()
        try:
            assert sum(1 for _ in conll.read(path, report=Report())) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(5_000) < peak(100) + 5_000 * 20  # bytes: a sentence's tokens would be 300
