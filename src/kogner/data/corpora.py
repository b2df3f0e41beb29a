"""Corpora: folders with a train, dev and test file, read with the type names and id vocabularies they are known for."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kogner.data.formats import bmg, conll, genia, gliner, jsonl, pubtator
from kogner.data.formats.files import lines, without_packing
from kogner.data.report import Report
from kogner.errors import InputError
from kogner.records import Document

SPLITS = ("train", "dev", "test")
TWICE = "mention twice (same start, end and type), kept twice"

_SPLIT_NAMES = {"train": r"train", "dev": r"dev|valid", "test": r"(?<!la)test"}
_ENDINGS = (".txt", ".pubtator", ".tsv", ".conll", ".iob", ".iob2", ".iobes", ".bio", ".jsonl", ".jsonlines", ".json")
_ARRAY = re.compile(r"\s*\[\s*(?:[{\]]|$)")  # `[` and a tag is a word of CoNLL
_AS_NAMED: dict[str, Callable[..., Iterable[Document]]] = {"jsonl": jsonl.read, "gliner": gliner.read, "bmg": bmg.read}


@dataclass(frozen=True)
class KnownCorpus:
    """How a corpus names things. A type mapped to None is in its files but not part of its task.

    marks: raw types by which a corpus of unknown name is recognised. vocabularies: prefix of ids that have none.
    """

    types: Mapping[str, str | None]
    marks: frozenset[str]
    vocabularies: Mapping[str, str]
    aliases: tuple[str, ...] = ()


def _known(
    types: Mapping[str, str | None],
    *,
    marks: Iterable[str],
    vocabularies: Mapping[str, str] | None = None,
    aliases: tuple[str, ...] = (),
) -> KnownCorpus:
    return KnownCorpus(types, frozenset(marks), vocabularies or {}, aliases)


_GENIA_TYPES = {
    "protein": "protein", "GP": "protein", "DNA": "DNA", "RNA": "RNA",
    "cell_type": "cell type", "cell_line": "cell line",
}  # fmt: skip
_NCBI_TYPES = dict.fromkeys(("SpecificDisease", "Modifier", "DiseaseClass", "CompositeMention"), "disease")

KNOWN: dict[str, KnownCorpus] = {
    "bc5cdr": _known(
        {"Chemical": "chemical", "Disease": "disease"},
        marks=("Chemical", "Disease"),
        vocabularies={"Chemical": "MESH", "Disease": "MESH"},
        aliases=("cdr",),
    ),
    "ncbi": _known(_NCBI_TYPES, marks=("SpecificDisease",), aliases=("ncbi_disease", "ncbidisease")),
    "bc2gm": _known({"GENE": "gene"}, marks=("GENE",)),
    "jnlpba": _known(_GENIA_TYPES, marks=("GP",)),
    "genia": _known(_GENIA_TYPES, marks=("cell_type", "cell_line")),
    # A family name is a gene mention to BC2GM as well; a domain or motif is a part of a protein, hence its own type.
    "gnormplus": _known(
        {"Gene": "gene", "FamilyName": "gene", "DomainMotif": "domain or motif"},
        marks=("FamilyName",),
        vocabularies={"Gene": "NCBIGene", "FamilyName": "NCBIGene", "DomainMotif": "NCBIGene"},
    ),
    # OTHER and NonStandardRef mark text that the guidelines exclude from chemical recognition.
    "nlmchem": _known(
        {"Chemical": "chemical", "OTHER": None, "NonStandardRef": None},
        marks=("NonStandardRef",),
        vocabularies={"Chemical": "MESH"},
    ),
    "linnaeus": _known({"Species": "species"}, marks=("Species",), vocabularies={"Species": "NCBITaxon"}),
}


@dataclass(frozen=True)
class Corpus:
    """The documents of one split. types: what is annotated in it, sorted. report: what reading it met.

    lost: mentions of these types that the file holds and the documents do not, because the reader had to skip them.
    """

    name: str
    split: str
    path: Path
    documents: tuple[Document, ...]
    types: tuple[str, ...]
    report: Report
    lost: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def mentions(self) -> int:
        """How many mentions the documents hold."""
        return sum(len(document.mentions) for document in self.documents)


def splits(path: Path | str) -> dict[str, Path]:
    """The files of a corpus folder by split, found by their names: `train`, `dev` (also devel, valid), `test`.

    A single file is taken for the split in its name, for `test` if there is none.
    Raises InputError where nothing is found or two files claim one split.
    """
    path = Path(path)
    if path.is_file():
        return {_split_of(path) or "test": path}
    if not path.is_dir():
        raise InputError("does not exist; give the folder of a corpus", path=path)
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        plain = without_packing(file.name.lower())
        split = _split_of(file)
        if split is None or file.name.startswith(".") or not plain.endswith(_ENDINGS) or not file.is_file():
            continue
        if split in found:
            raise InputError(f"{found[split].name} and {file.name} both look like the {split} split", path=path)
        found[split] = file
    if not found:
        raise InputError(
            "holds no corpus: a file with train, dev or test in its name and one of the endings "
            f"{', '.join(_ENDINGS)} is needed",
            path=path,
        )
    return {split: found[split] for split in SPLITS if split in found}


def _split_of(file: Path) -> str | None:
    name = file.name.lower()
    return next((split for split, pattern in _SPLIT_NAMES.items() if re.search(pattern, name)), None)


def load(name: str, path: Path | str, split: str, *, strict: bool = False) -> Corpus:
    """Read one split of a corpus with its types renamed to ours (`chemical`, `disease`, `cell type`, ...).

    name: a known corpus (KNOWN) or any other, which is recognised by its types where it can be; types of an unknown
    corpus become lower case with blanks for `_`. JSON lines, GLiNER's files and BMG records keep theirs as they are.
    strict: raise InputError at the first thing that would be skipped or repaired.
    Raises InputError for a split that is not there and for files that cannot be read.
    """
    files = splits(path)
    if split not in files:
        raise InputError(f"has no {split} split, only {', '.join(files)}", path=Path(path))
    file = files[split]
    report = Report(strict=strict)
    kind = detect(file)
    if kind in _AS_NAMED:
        documents = list(_AS_NAMED[kind](file, report=report))
        annotated = {mention.type for document in documents for mention in document.mentions}
        types = frozenset(annotated.union(report.lost, *(document.types for document in documents)))
        documents = [document if document.types else replace(document, types=types) for document in documents]
        _note_twice(documents, report)
        return Corpus(name, split, file, tuple(documents), tuple(sorted(types)), report, dict(report.lost))
    named = _by_name(name)
    if kind == "pubtator":
        # The vocabulary of an id without prefix follows from the type, the same in all known corpora.
        vocabularies = {raw: prefix for known in KNOWN.values() for raw, prefix in known.vocabularies.items()}
        prefixes = named.vocabularies if named else vocabularies
        documents = list(pubtator.read(file, report=report, vocabularies=prefixes))
    else:
        reader: Callable[..., Iterable[Document]] = conll.read if kind == "conll" else genia.read
        documents = list(reader(file, report=report))
    names, types = _type_names(documents, named, report)
    documents = _renamed(documents, names, types)
    _note_twice(documents, report)
    lost: Counter[str] = Counter()
    for raw, count in report.lost.items():
        kind_lost = names[raw]
        if kind_lost is not None:
            lost[kind_lost] += count
    return Corpus(name, split, file, tuple(documents), tuple(sorted(types)), report, lost)


def detect(file: Path) -> str:
    """The format of a file by its first line that is not blank: pubtator, conll, genia, jsonl, gliner or bmg."""
    for number, line in lines(file):
        if not line.strip():
            continue
        if line.lstrip().startswith("{"):
            return _of_object(line)
        if _ARRAY.match(line):
            return "gliner"
        if re.match(r"[^|\t]+\|[ta]\|", line):
            return "pubtator"
        if line.startswith("-DOCSTART-") or re.search(r"[\t ](?:O|[BIESLUM]-\S.*)$", line.rstrip()):
            return "conll"
        raise InputError(
            "is none of the known formats: PubTator ('ID|t|title'), CoNLL (token, tab or blank, tag), JSON lines or "
            "GLiNER's JSON; "
            f"found {line[:60]!r}",
            path=file, line=number,
        )  # fmt: skip
    raise InputError("holds nothing but blank lines", path=file)


def _of_object(line: str) -> str:
    """Which of the formats with an object a line it is; a first object over several lines is a defect of JSON lines."""
    try:
        keys = json.loads(line).keys()
    except (ValueError, RecursionError, AttributeError):
        keys = frozenset()
    if "tokenized_text" in keys:
        return "bmg" if "kges" in keys else "gliner"
    return "genia" if '"entity_mentions"' in line or '"tokens"' in line else "jsonl"


def _by_name(name: str) -> KnownCorpus | None:
    plain = name.lower().replace("-", "_")
    return next((known for key, known in KNOWN.items() if plain == key or plain in known.aliases), None)


def recognise(name: str, raw_types: Iterable[str]) -> KnownCorpus | None:
    """The known corpus of that name, or else the one whose types these are; None for a corpus of its own."""
    named, found = _by_name(name), set(raw_types)
    if named is not None:
        return named
    for known in KNOWN.values():
        if known.marks <= found and found <= known.types.keys():
            return known
    return None


def _type_names(
    documents: Iterable[Document], named: KnownCorpus | None, report: Report
) -> tuple[dict[str, str | None], frozenset[str]]:
    """Our name of each type in the file (None: not part of the task), and the types the corpus annotates."""
    counts = Counter(mention.type for document in documents for mention in document.mentions) + report.lost
    known = named or recognise("", counts)
    names: dict[str, str | None] = {}
    for raw, count in counts.items():
        if known is not None and raw in known.types:
            names[raw] = known.types[raw]
            if names[raw] is None:
                report.note(f"mention of type {raw}, not part of the task", count)
        else:
            names[raw] = raw.lower().replace("_", " ")
            if known is not None:
                report.note(f"type {raw} is unknown to this corpus, kept as '{names[raw]}'", count)
    types = frozenset(kind for kind in (*names.values(), *(known.types.values() if known else ())) if kind is not None)
    return names, types


def _renamed(documents: Iterable[Document], names: Mapping[str, str | None], types: frozenset[str]) -> list[Document]:
    renamed = []
    for document in documents:
        mentions = tuple(
            replace(mention, type=kind) for mention in document.mentions if (kind := names[mention.type]) is not None
        )
        renamed.append(replace(document, mentions=mentions, types=types))
    return renamed


def _note_twice(documents: Iterable[Document], report: Report) -> None:
    twice = sum(len(document.mentions) - len({m.key for m in document.mentions}) for document in documents)
    if twice:
        report.note(TWICE, twice)
