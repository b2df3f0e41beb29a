"""BRAT's files as systems and programs have them: long names, and a mark at their start."""

from __future__ import annotations

from kogner.data.formats import brat
from kogner.data.report import Report
from kogner.records import Document, Mention


def test_a_byte_order_mark_before_annotations_is_none_of_the_first(tmp_path):
    (tmp_path / "a.txt").write_text("Fever.")
    (tmp_path / "a.ann").write_bytes("\ufeffT1\tx 0 5\tFever\n".encode())
    report = Report()
    (document,) = brat.read(tmp_path, report=report)
    assert [one.key for one in document.mentions] == [(0, 5, "x")] and not report.skipped


def test_a_mark_at_the_start_of_a_text_is_one_of_its_characters(tmp_path):
    document = Document("a", "\ufeffFever.", (Mention(1, 6, "x", "Fever"),))
    brat.write(tmp_path / "b", [document], report=Report())
    assert list(brat.read(tmp_path / "b", report=Report())) == [document]


def test_long_ids_become_names_that_a_file_can_have(tmp_path):
    """Most file systems have at most 255 bytes, of which one letter may take four."""
    names = ["熱" * 200, "熱" * 201, "𠀀" * 100, "a" * 300, "aé" * 100]
    report = Report()
    brat.write(tmp_path / "b", [Document(name, name) for name in names], report=report)
    assert report.noted[brat.RENAMED] == len(names)
    found = list(brat.read(tmp_path / "b", report=Report()))
    assert sorted(one.text for one in found) == sorted(names)
    assert all(len(one.id.encode()) <= brat.LONGEST + 2 for one in found)


def test_what_kogner_keeps_in_a_folder_is_no_file_of_another_kind(tmp_path):
    brat.write(tmp_path / "b", [Document("a", "Fever.")], report=Report())
    assert any(one.name.startswith(".") for one in (tmp_path / "b").iterdir())
    report = Report()
    assert len(list(brat.read(tmp_path / "b", report=report))) == 1 and not report.noted
    (tmp_path / "b" / "annotation.conf").touch()
    list(brat.read(tmp_path / "b", report=report))
    assert report.noted == {brat.OTHER_FILE: 1}
