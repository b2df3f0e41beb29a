import random
import tracemalloc
from itertools import pairwise

import pytest

from kogner.data.formats import pubtator
from kogner.data.formats.duplicates import COPY, NAMESAKE
from kogner.data.formats.registry import FORMATS
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document, Passage

TITLE, ABSTRACT = "Zincol heals gout", "Mice with gout (n=9) got zincol. Naïve 😀 mice did not."


def block(name="7", *annotations, title=TITLE, abstract=ABSTRACT, end="\n"):
    rows = [f"{name}|t|{title}", f"{name}|a|{abstract}", *("\t".join([name, *map(str, row)]) for row in annotations)]
    return end.join(rows) + end


def read(tmp_path, content, *, strict=False, **options):
    path = tmp_path / "some.PubTator.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = Report(strict=strict)
    return list(pubtator.read(path, report=report, **options)), report


GOOD = (
    (0, 6, "Zincol", "Chemical", "D000042"),
    (13, 17, "gout", "Disease", "-1"),
    (28, 32, "gout", "Disease", "D000007|C000008+OMIM:123"),
)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_offsets_count_code_points_of_title_blank_abstract(tmp_path, end, mark):
    start = f"{TITLE} {ABSTRACT}".index("mice did")
    content = mark + block("7", *GOOD, (start, start + 4, "mice", "Species", ""), ("CID", "D1", "D2"), end=end) + end
    (document,), report = read(tmp_path, content)
    assert (document.id, document.text) == ("7", f"{TITLE} {ABSTRACT}")
    assert [(m.start, m.end, m.text, m.type) for m in document.mentions][-1] == (start, start + 4, "mice", "Species")
    assert [m.ids for m in document.mentions] == [
        ("MESH:D000042",), (), ("MESH:D000007", "MESH:C000008", "OMIM:123"), (),
    ]  # fmt: skip
    assert report.to_dict() == {"skipped": {}, "repaired": {}, "noted": {"relation line CID not kept": 1}}


@pytest.mark.parametrize(
    ("raw", "vocabulary", "expected"),
    [
        ("D014786|D006311", None, ("MESH:D014786", "MESH:D006311")),
        ("OMIM:300 ", None, ("OMIM:300",)),
        ("mesh:D000001", None, ("MESH:D000001",)),
        ("672(Tax:9606),675(tax:9606)", "NCBIGene", ("NCBIGene:672", "NCBIGene:675")),
        ("9606", "NCBITaxon", ("NCBITaxon:9606",)),
        ("D000001|D000001", None, ("MESH:D000001",)),
        ("MESH:D000001,-", None, ("MESH:D000001",)),
        ("-1", "MESH", ()),
        ("", None, ()),
    ],
)
def test_ids_of_one_column(raw, vocabulary, expected):
    assert pubtator.identifiers(raw, vocabulary=vocabulary) == expected


@pytest.mark.parametrize(
    ("annotation", "span", "reason"),
    [
        ((16, 20, "gout", "Disease"), (13, 17), pubtator.OFFSET_REPAIRED),
        ((0, 6, "ZINCOL", "Chemical"), (0, 6), pubtator.OFFSET_REPAIRED),
        ((28, 30, "gout ( n=9 )", "Disease"), (28, 38), pubtator.OFFSET_REPAIRED),
        ((33, 38, '"n=9"', "Disease"), (33, 38), pubtator.OTHER_SIGNS),
        ((13, 17, "flu", "Disease"), None, pubtator.OFFSET_MISMATCH),
        ((19, 23, "gout", "Disease"), None, pubtator.OFFSET_MISMATCH),  # 6 characters off
        ((900, 904, "gout", "Disease"), None, pubtator.OFFSET_MISMATCH),
        ((17, 13, "nope", "Disease"), None, pubtator.OFFSET_MISMATCH),
    ],
)
def test_offsets_that_miss_are_repaired_within_five_characters(tmp_path, annotation, span, reason):
    (document,), report = read(tmp_path, block("7", GOOD[0], annotation))
    assert [(m.start, m.end) for m in document.mentions[1:]] == ([span] if span else [])
    assert (report.repaired if span else report.skipped) == {reason: 1}
    assert report.lost == ({} if span else {annotation[3]: 1})
    assert "some.PubTator.txt:4 (document 7)" in report.examples[reason][0]
    with pytest.raises(InputError, match=rf":4 \(document 7\): {reason}"):
        read(tmp_path, block("7", GOOD[0], annotation), strict=True)


def test_a_copy_is_dropped_and_a_namesake_renamed(tmp_path):
    content = "\n".join([block("7", GOOD[0]), block("8"), block("7", GOOD[0]), block("7", GOOD[1]), block("7#2")])
    documents, report = read(tmp_path, content)
    assert [d.id for d in documents] == ["7", "8", "7#2", "7#2#2"]
    assert (report.skipped, report.repaired) == ({COPY: 1}, {NAMESAKE: 2})


def test_passages_of_an_article_keep_their_own_offsets(tmp_path):
    passages = [block("7", (0, 4, "Gout", "Disease"), title=f"Gout {n}", abstract="") for n in range(4)]
    documents, report = read(tmp_path, "\n".join([*passages, passages[0]]))
    assert [d.id for d in documents] == ["7#1", "7#2", "7#3", "7#4", "7#5"]
    assert [d.text for d in documents] == ["Gout 0", "Gout 1", "Gout 2", "Gout 3", "Gout 0"]
    assert not report.skipped and not report.repaired


def test_documents_need_no_blank_line_between_them(tmp_path):
    documents, _ = read(tmp_path, block("7", GOOD[0]) + block("8", GOOD[1]))
    assert [(d.id, len(d.mentions)) for d in documents] == [("7", 1), ("8", 1)]


def test_an_abstract_may_stand_before_its_title(tmp_path):
    title, abstract, annotation = block("7", GOOD[0]).splitlines()
    (document,), _ = read(tmp_path, "\n".join([abstract, title, annotation]))
    assert (document.text, len(document.mentions)) == (f"{TITLE} {ABSTRACT}", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("7|t|A\n7|a|B\n7 0 1 A Disease D1\n", r":3: expected"),
        ("7|t|A\n7|a|B\n7\t0\t1\n", r":3 \(document 7\): an annotation needs"),
        ("7|t|A\n7|a|B\n8\t0\t1\tA\tDisease\tD1\n", r":3: expected .* document 7"),
        ("7\t0\t1\tA\tDisease\n", r":1: expected .* \(none yet\)"),
        ("7|t|A\n7|a|B\n7|a|C\n", r":3 \(document 7\): a second '7\|a\|' line, the first is line 2"),
        ("7|t|A\n7|a|\n7\t0\t1\tA\tDisease\n7|a|C\n", r":4 \(document 7\): a second '7\|a\|' line"),
        ("\n7|t|A\n7|t|B\n", r":3 \(document 7\): a second '7\|t\|' line, the first is line 2; .* a blank line"),
        ("\n\n", "no PubTator document"),
    ],
)
def test_lines_that_are_not_pubtator_are_errors(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_a_megabyte_in_one_line(tmp_path):
    abstract = "Mice with gout got zincol. " * 40_000
    at = len(TITLE) + 1 + len(abstract) - len("zincol. ")
    (document,), report = read(tmp_path, block("7", (at, at + 6, "zincol", "Chemical"), abstract=abstract))
    assert document.text[document.mentions[0].start :] == "zincol. "
    assert report == Report()


def test_offsets_of_the_whole_text_cost_no_more_than_others(tmp_path, monkeypatch):
    """Letters of a long span are not compared with a short mention, line by line."""
    title = "ab" * 50_000
    lengths, own = [], pubtator._letters
    monkeypatch.setattr(pubtator, "_letters", lambda text: lengths.append(len(text)) or own(text))
    (document,), report = read(tmp_path, block("1", *[(0, 100_000, "q", "x")] * 50, title=title, abstract="b"))
    assert sum(lengths) < 50 * 1000
    assert document.mentions == () and report.skipped[pubtator.OFFSET_MISMATCH] == 50
    assert all(len(place) < 1000 for place in report.examples[pubtator.OFFSET_MISMATCH])


def test_odd_blanks_and_numbers_without_end_are_no_crash(tmp_path):
    (document,), report = read(tmp_path, block("7", ("\x1c0", "6\x1c", "Zincol", "Chemical", "-1")))
    assert [m.text for m in document.mentions] == ["Zincol"] and not report.repaired
    with pytest.raises(InputError, match="an annotation needs"):
        read(tmp_path, block("7", (0, "9" * 5000, "Zincol", "Chemical", "-1")))


def test_what_comes_before_a_line_that_is_none_is_there(tmp_path):
    path = tmp_path / "a.pubtator"
    path.write_text(f"{block('7', GOOD[0])}\n{block('8')}\nno line\n{block('9')}")
    found, report = pubtator.read(path, report=Report()), Report()
    assert [next(found).id, next(found).id] == ["7", "8"]
    with pytest.raises(InputError, match=r"a.pubtator:8: expected"):
        next(found)
    path.write_bytes(f"{block('7')}\n{block('8')}\n9|t|".encode() + b"\xff\n")
    found = pubtator.read(path, report=report)
    assert [next(found).id, next(found).id] == ["7", "8"]
    with pytest.raises(InputError, match=r"a.pubtator:7: not UTF-8"):
        next(found)


def test_ids_are_unique_whatever_they_look_like(tmp_path):
    """Against all that was read being remembered; ids of few letters, so that names of namesakes are taken already."""
    some = random.Random(1)
    for _ in range(200):
        names = [some.choice(("7", "7#2", "7#2#2", "8", "#", "7#3")) for _ in range(12)]
        blocks = [block(name, title=f"Gout {some.randrange(2)}", abstract="") for name in names]
        if sum(one == two for one, two in pairwise(names)) > len(names) / 2:
            continue  # passages
        documents, report = read(tmp_path, "\n".join(blocks))
        texts = [one.split("\n")[0].partition("|t|")[2] for one in blocks]
        wanted = dict.fromkeys(zip(names, texts, strict=True))  # copies are dropped
        assert [one.text for one in documents] == [text for _, text in wanted]
        ids = [one.id for one in documents]
        assert len(set(ids)) == len(ids) == len(names) - report.skipped[COPY]
        assert report.repaired[NAMESAKE] == sum(one != name for one, (name, _) in zip(ids, wanted, strict=True))


def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak(count):
        path = tmp_path / "a.pubtator"
        path.write_text("\n".join(block(str(name), *GOOD, abstract=ABSTRACT * 10) for name in range(count)))
        tracemalloc.start()
        try:
            assert sum(1 for _ in pubtator.read(path, report=Report())) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = peak(100)
    assert peak(2_000) < few + 2_000 * 50  # bytes: hashes of ids, 8 each; documents would be 2,000 each


@pytest.mark.parametrize(
    ("places", "noted"),
    [
        ((), {}),
        (((0, 12, "title"),), {}),
        (((0, 12, "paragraph"),), {pubtator.INFON: 1}),
        (((0, 5, "title"), (6, 12, "abstract")), {}),
        (((0, 5, "title"), (6, 12, "body")), {pubtator.INFON: 1}),
        (((0, 5, "title"), (6, 8, "abstract"), (8, 12, "abstract")), {pubtator.PASSAGE: 1}),
        (((0, 5, "title"), (7, 12, "abstract")), {pubtator.PASSAGE: 2}),
        (((0, 5, "title"),), {pubtator.PASSAGE: 1}),
    ],
)
def test_passages_that_are_lost_are_counted_and_no_others(places, noted, tmp_path):
    passages = tuple(Passage(start, end, (("type", kind),)) for start, end, kind in places)
    document, report = Document("1", "Fever in rat", passages=passages), Report()
    form = FORMATS["pubtator"]
    form.save(tmp_path / "f", [document], report=report)
    assert report.noted == noted and not list(form.not_kept(document))
