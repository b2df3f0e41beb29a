"""MeSH as the National Library of Medicine releases it: descYYYY.xml and suppYYYY.xml, plain or packed.

A record becomes an entity `MESH:D000001`: its name, the terms of all its concepts as synonyms, the scope note of the
preferred concept as description, CAS numbers and UNIIs of that concept as xrefs. Triples: `is_a` from tree numbers,
`mapped_to` from supplementary records to headings, `has_action` to pharmacological actions.

The files are streamed, one record in memory at a time. Their DOCTYPE names an external DTD, which is never fetched; a
file that declares entities of its own is refused, as such entities can be made to grow without end.

Format: www.nlm.nih.gov/mesh/xml_data_elements.html
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.parsers import expat

from kogner.errors import InputError
from kogner.graph.readers.opening import opened
from kogner.graph.readers.source import Source, distinct, good_id
from kogner.graph.readers.vocabularies import OTHER, mesh_type
from kogner.graph.rejections import Rejections
from kogner.progress import counting
from kogner.records import Entity, Triple

FILE = re.compile(r"(desc|supp)\d{4}(\.xml)?(\.gz|\.xz)?", re.IGNORECASE)
_HEAD = 1 << 20
_ROOTS = ("DescriptorRecordSet", "SupplementalRecordSet")
_RECORDS = {"DescriptorRecord": "Descriptor", "SupplementalRecord": "SupplementalRecord"}
# SCRClass of a supplementary record: regular substance, chemotherapy protocol, rare disease, organism, population
# group, anatomy.
_CLASSES = {"1": "Chemical", "2": "Procedure", "3": "Disease", "4": "Organism", "5": OTHER, "6": "Anatomy"}
_NUMBERS = (
    (re.compile(r"\d{2,7}-\d{2}-\d"), "CAS:"),
    (re.compile(r"EC [\d.-]+"), "EC:"),
    (re.compile(r"[A-Z0-9]{10}"), "UNII:"),
    (re.compile(r"txid\d+"), "NCBITaxon:"),
)


def read_mesh(path: str | Path, *, rejected: Rejections) -> Source:
    """Records of one file, or of all descYYYY and suppYYYY files of a folder, descriptors first.

    Left out and counted: records without an id or a name, ids that stand twice, registry numbers of no known form.
    Raises InputError (file, line) for XML that is damaged, is no MeSH, or declares entities.
    """
    place = Path(path)
    files = mesh_files(place) if place.is_dir() else [place]
    if not files:
        raise InputError("holds no descYYYY.xml and no suppYYYY.xml (or .gz) of MeSH", path=place)
    triples: list[Triple] = []
    return Source(place.name, _entities(files, triples, rejected), triples)


def mesh_files(folder: Path) -> list[Path]:
    """MeSH's files in a folder, descriptors before supplementary records."""
    found = (path for path in folder.iterdir() if path.is_file() and FILE.fullmatch(path.name))
    return sorted(found, key=lambda path: (path.name.lower().startswith("supp"), path.name))


def _entities(files: Sequence[Path], triples: list[Triple], rejected: Rejections) -> Iterator[Entity]:
    places: dict[str, str] = {}
    trees: dict[str, list[str]] = {}
    seen: set[str] = set()
    for file in files:
        found = 0
        with counting(f"reading {file.name}") as counter:
            for record in _records(file):
                found += 1
                counter.advance()
                local = (record.findtext(f"{_RECORDS[record.tag]}UI") or "").strip()
                name = " ".join((record.findtext(f"{_RECORDS[record.tag]}Name/String") or "").split())
                if not local or not name:
                    rejected.add("MeSH record without id or name", f"{file.name}: {local or name or '?'}")
                elif local in seen:
                    rejected.add("duplicate id", f"{file.name}: {local}")
                elif good_id(local, f"{file.name}: {local!r}", rejected):
                    seen.add(local)
                    yield _entity(record, f"MESH:{local}", name, places, trees, triples, rejected)
        if not found:
            raise InputError(f"has no {' and no '.join(_RECORDS)}; a file of MeSH is needed", path=file)
    for own, numbers in trees.items():
        # A record with several places in the tree often has the same parent at each.
        parents = dict.fromkeys(places.get(number.rpartition(".")[0]) for number in numbers)
        triples.extend(Triple(own, "is_a", parent) for parent in parents if parent)


def _entity(
    record: ET.Element,
    own: str,
    name: str,
    places: dict[str, str],
    trees: dict[str, list[str]],
    triples: list[Triple],
    rejected: Rejections,
) -> Entity:
    headings = [ui.lstrip("*") for ui in _texts(record, "HeadingMappedToList/HeadingMappedTo/DescriptorReferredTo")]
    if record.tag == "DescriptorRecord":
        trees[own] = _texts(record, "TreeNumberList", "TreeNumber")
        places.update(dict.fromkeys(trees[own], own))
        kind = mesh_type(trees[own])
    else:
        known = [number for heading in headings for number in trees.get(f"MESH:{heading}", ())]
        kind = _CLASSES.get(record.get("SCRClass", "1"), OTHER)
        if kind == OTHER and known:
            kind = mesh_type(known)
    triples.extend(Triple(own, "mapped_to", f"MESH:{heading}") for heading in dict.fromkeys(headings))
    actions = _texts(record, "PharmacologicalActionList/PharmacologicalAction/DescriptorReferredTo")
    triples.extend(Triple(own, "has_action", f"MESH:{action}") for action in dict.fromkeys(actions))
    terms, xrefs, description = _concepts(record, own, rejected)
    return Entity(own, kind, name, distinct(terms, name), distinct(xrefs, own), description)


def _concepts(record: ET.Element, own: str, rejected: Rejections) -> tuple[list[str], list[str], str]:
    """Terms of all concepts; registry numbers and scope note of the preferred one."""
    terms: list[str] = []
    xrefs: list[str] = []
    description = ""
    for concept in record.iterfind("ConceptList/Concept"):
        terms += [text for term in concept.iterfind("TermList/Term") if (text := term.findtext("String"))]
        if concept.get("PreferredConceptYN") != "Y":
            continue
        description = " ".join((concept.findtext("ScopeNote") or "").split())
        terms += [text for text in (concept.findtext("CASN1Name"),) if text]
        numbers = [element.text or "" for element in concept.iter("RegistryNumber")]
        # `50-78-2 (Aspirin)`; those of relatives carry other names, so only a CAS number of the record's own counts
        numbers += [
            number
            for element in concept.iter("RelatedRegistryNumber")
            if (number := _related(element.text or "", record))
        ]
        for number in dict.fromkeys(map(str.strip, numbers)):
            if number in ("", "0"):
                continue
            for form, prefix in _NUMBERS:
                if form.fullmatch(number):
                    xrefs.append(prefix + number.removeprefix("EC ").removeprefix("txid"))
                    break
            else:
                rejected.add("registry number of an unknown form", f"{own} {number[:40]}")
    return terms, xrefs, description


def _related(text: str, record: ET.Element) -> str:
    number, _, name = text.partition(" ")
    preferred = record.findtext("DescriptorName/String") or record.findtext("SupplementalRecordName/String") or ""
    return number if name.strip("() ").casefold() == preferred.strip().casefold() else ""


def _texts(record: ET.Element, path: str, tag: str = "DescriptorUI") -> list[str]:
    return [text.strip() for element in record.iterfind(f"{path}/{tag}") if (text := element.text)]


def _records(file: Path) -> Iterator[ET.Element]:
    """Records of a file; each is emptied after its use."""
    with opened(file, wanted="XML") as stream:
        _refuse_entities(stream.read(_HEAD), file)
    with opened(file, wanted="XML") as stream:
        try:
            events = iter(ET.iterparse(stream, events=("start", "end")))
            _, root = next(events)
            if root.tag not in _ROOTS:
                raise InputError(f"holds <{root.tag}>; {' or '.join(_ROOTS)} is needed", path=file)
            for event, element in events:
                if event == "end" and element.tag in _RECORDS:
                    yield element
                    root.clear()
        except (ET.ParseError, StopIteration, ValueError, LookupError) as error:
            line = error.position[0] if isinstance(error, ET.ParseError) else 1
            raise InputError(f"is no whole XML ({error}); fetch it again", path=file, line=line) from error


def _refuse_entities(head: bytes, file: Path) -> None:
    """Raise InputError where the document declares entities; they can stand before its first element only."""

    class _BegunError(Exception):
        pass

    def begun(*_: object) -> None:
        raise _BegunError

    def declared(name: str, *_: object) -> None:
        raise InputError(f"declares the entity {name!r}; MeSH's own files declare none. It is not read", path=file)

    parser = expat.ParserCreate()
    parser.StartElementHandler = begun
    parser.EntityDeclHandler = declared
    try:
        parser.Parse(head, False)
    except _BegunError:
        return
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two for an encoding that is not known
        line = getattr(error, "lineno", 1)
        raise InputError(f"is no XML ({error}); a file of MeSH is needed", path=file, line=line) from error
    raise InputError(f"has no element in its first {_HEAD:,} bytes; a file of MeSH is needed", path=file)
