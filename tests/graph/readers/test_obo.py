"""OBO terms, checked field by field on a stanza of our own."""

import pytest

from kogner.errors import InputError
from kogner.graph.readers.obo import read_terms

TEXT = r"""format-version: 1.2

[Term]
id: T:1
name: Sore thumb
def: "A thumb said to be \"sore\"." [ref:1]
synonym: "thumb ache" EXACT layperson []
synonym: "ache" BROAD []
xref: UMLS:C1 {source="x"}
alt_id: T:9
is_a: T:2 ! Ache

[Term]
id: T:2
name: Ache
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


def test_fields(tmp_path):
    path = tmp_path / "t.obo"
    path.write_text(TEXT, encoding="utf-8")
    first, second = read_terms(path)
    assert (first.id, first.name, first.definition) == ("T:1", "Sore thumb", 'A thumb said to be "sore".')
    assert first.synonyms == [("thumb ache", "EXACT"), ("ache", "BROAD")]
    assert (first.xrefs, first.alternatives, first.parents) == (["UMLS:C1"], ["T:9"], ["T:2"])
    assert second.obsolete and not first.obsolete


@pytest.mark.parametrize(
    ("data", "says"), [(b"hello\n", "has no"), (b"[Term]\nname: x\n", "no id"), (b"[Term]\nid: \xff\n", "not UTF-8")]
)
def test_bad_files(tmp_path, data, says):
    path = tmp_path / "bad.obo"
    path.write_bytes(data)
    with pytest.raises(InputError, match=says):
        list(read_terms(path))
