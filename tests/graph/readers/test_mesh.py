"""MeSH XML, small: records, types, triples; nothing fetched, no entities of its own."""

import gc
import gzip
import xml.etree.ElementTree as ET

import pytest

from kogner.errors import InputError
from kogner.graph.readers.mesh import read_mesh
from kogner.graph.rejections import Rejections
from kogner.records import Triple

DOCTYPE = '<?xml version="1.0"?>\n<!DOCTYPE {root} SYSTEM "https://127.0.0.1:1/{root}.dtd">\n'


def concept(*terms, note="", number="0", related=(), preferred="Y"):
    listed = "".join(f"<Term><TermUI>T1</TermUI><String>{term}</String></Term>" for term in terms)
    others = "".join(f"<RelatedRegistryNumber>{one}</RelatedRegistryNumber>" for one in related)
    return (
        f'<Concept PreferredConceptYN="{preferred}"><ConceptName><String>{terms[0]}</String></ConceptName>'
        f"<RegistryNumber>{number}</RegistryNumber><ScopeNote>{note}</ScopeNote>"
        f"<RelatedRegistryNumberList>{others}</RelatedRegistryNumberList><TermList>{listed}</TermList></Concept>"
    )


def refer(tag, ui):
    return f"<{tag}><DescriptorReferredTo><DescriptorUI>{ui}</DescriptorUI></DescriptorReferredTo></{tag}>"


def descriptor(ui, name, *trees, concepts="", actions=()):
    numbers = "".join(f"<TreeNumber>{tree}</TreeNumber>" for tree in trees)
    listed = "".join(refer("PharmacologicalAction", action) for action in actions)
    return (
        f"<DescriptorRecord><DescriptorUI>{ui}</DescriptorUI><DescriptorName><String>{name}</String></DescriptorName>"
        f"<PharmacologicalActionList>{listed}</PharmacologicalActionList><TreeNumberList>{numbers}</TreeNumberList>"
        f"<ConceptList>{concepts}</ConceptList></DescriptorRecord>"
    )


def supplement(ui, name, *headings, group="1", concepts=""):
    listed = "".join(refer("HeadingMappedTo", heading) for heading in headings)
    return (
        f'<SupplementalRecord SCRClass="{group}"><SupplementalRecordUI>{ui}</SupplementalRecordUI>'
        f"<SupplementalRecordName><String>{name}</String></SupplementalRecordName>"
        f"<HeadingMappedToList>{listed}</HeadingMappedToList><ConceptList>{concepts}</ConceptList></SupplementalRecord>"
    )


def document(root, *records):
    return (DOCTYPE.format(root=root) + f"<{root}>\n" + "\n".join(records) + f"\n</{root}>\n").encode()


DESCRIPTORS = document(
    "DescriptorRecordSet",
    descriptor("D1", "Pains", "C01"),
    descriptor(
        "D2",
        "Thumb Pain",
        "C01.5",
        "C02.7",
        concepts=concept("Thumb Pain", "Pain, Thumb", note="It\n hurts &amp; stings.")
        + concept("Ache of Thumb", preferred="N", note="not this", number="50-00-0"),
    ),
    descriptor(
        "D3",
        "Painol",
        "D02",
        actions=("D4",),
        concepts=concept("Painol", number="R16CO5Y76E", related=("50-78-2 (Painol)", "53-86-1 (other)")),
    ),
    descriptor("D4", "Painkillers", "D27", concepts=concept("Painkillers", number="what is this")),
    descriptor("D1", "again"),
    descriptor("", "no id"),
    descriptor("D9", "Words", "L01"),
)
SUPPLEMENTS = document(
    "SupplementalRecordSet",
    supplement("C1", "painol-b", "*D3", "D4", concepts=concept("painol-b", "PB", number="EC 1.2.3.4")),
    supplement("C2", "Rare Thumb Pain", "D2", group="3"),
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "supp2026.gz").write_bytes(gzip.compress(SUPPLEMENTS, mtime=0))
    (tmp_path / "desc2026.xml").write_bytes(DESCRIPTORS)
    (tmp_path / "readme.xml").write_text("other")
    return tmp_path


def test_records(folder):
    rejected = Rejections()
    source = read_mesh(folder, rejected=rejected)
    entities = {entity.id: entity for entity in source.entities}
    assert {own: entity.type for own, entity in entities.items()} == {
        "MESH:D1": "Disease",
        "MESH:D2": "Disease",
        "MESH:D3": "Chemical",
        "MESH:D4": "Chemical",
        "MESH:D9": "Other",
        "MESH:C1": "Chemical",
        "MESH:C2": "Disease",
    }
    thumb = entities["MESH:D2"]
    assert (thumb.synonyms, thumb.xrefs, thumb.description) == (
        ("Pain, Thumb", "Ache of Thumb"),
        (),
        "It hurts & stings.",
    )
    assert entities["MESH:D3"].xrefs == ("UNII:R16CO5Y76E", "CAS:50-78-2")
    assert entities["MESH:C1"].xrefs == ("EC:1.2.3.4",)
    assert set(source.triples) == {
        Triple("MESH:D2", "is_a", "MESH:D1"),
        Triple("MESH:D3", "has_action", "MESH:D4"),
        Triple("MESH:C1", "mapped_to", "MESH:D3"),
        Triple("MESH:C1", "mapped_to", "MESH:D4"),
        Triple("MESH:C2", "mapped_to", "MESH:D2"),
    }
    assert rejected.as_dict() == {
        "duplicate id": 1,
        "MeSH record without id or name": 1,
        "registry number of an unknown form": 1,
    }


def test_an_id_that_can_be_none_is_shown(tmp_path):
    (tmp_path / "desc2026.xml").write_bytes(document("DescriptorRecordSet", descriptor("D 1", "Pains", "C01")))
    rejected = Rejections()
    assert not list(read_mesh(tmp_path, rejected=rejected).entities)
    assert rejected.lines() == ["1 x id with blanks (first: desc2026.xml: 'D 1')"]


def test_entities_of_a_file_are_refused(tmp_path):
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    (tmp_path / "desc2026.xml").write_text(bomb)
    with pytest.raises(InputError, match="declares the entity 'a'"):
        list(read_mesh(tmp_path, rejected=Rejections()).entities)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (DESCRIPTORS[:-200], r"desc2026\.xml:\d+: is no whole XML"),
        (gzip.compress(DESCRIPTORS * 3, mtime=0)[:-50], "cut short"),
        (b"<html><body/></html>", "holds <html>; DescriptorRecordSet or"),
        (b"", "no element"),
        (b"plain text", "is no XML"),
        (b'<?xml version="1.0" encoding="GB2312"?><DescriptorRecordSet/>', "is no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><DescriptorRecordSet/>', "is no XML"),
    ],
)
def test_bad_files(tmp_path, data, says):
    (tmp_path / "desc2026.xml").write_bytes(data)
    with pytest.raises(InputError, match=says):
        list(read_mesh(tmp_path / "desc2026.xml", rejected=Rejections()).entities)


def test_a_folder_without_mesh(tmp_path):
    with pytest.raises(InputError, match="no descYYYY"):
        read_mesh(tmp_path, rejected=Rejections())


def test_a_record_is_gone_after_its_use(tmp_path):
    """Alive are the elements of what the parser reads at a time, not those of 4,000 records (40,000)."""
    path = tmp_path / "desc2026.xml"
    path.write_bytes(document("DescriptorRecordSet", *(descriptor(f"D{n}", f"thing {n}") for n in range(4_000))))
    for number, _ in enumerate(read_mesh(path, rejected=Rejections()).entities):
        if number == 3_900:
            break
    assert sum(type(one) is ET.Element for one in gc.get_objects()) < 4_000
