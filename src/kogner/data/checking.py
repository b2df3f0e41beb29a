"""Rows are judged in this process or in several, and what is kept comes back in their order, as it will be written."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kogner.data.check import CheckSettings, Rules
from kogner.data.check_counts import Verdict
from kogner.data.formats import bmg, gliner, jsonl, pubtator
from kogner.data.formats.files import lines
from kogner.data.prompts import kind_key
from kogner.data.report import Report
from kogner.data.rows import Row, parse
from kogner.data.written import key_of
from kogner.errors import ConfigError, KognerError
from kogner.graph.store import GraphStore
from kogner.records import Document

CHUNK = 500  # lines that a process gets at once
AHEAD = 4  # chunks for each process that are read before the first of them is done
ALONE = 8 << 20  # bytes of rows below which another process takes longer to start than to work

FORMATS = ("gliner", "bmg", "pubtator")
_NOWHERE = Path()  # reports of further formats are not shown, so that the file has no name


class Kept(NamedTuple):
    """A sentence as it will be written.

    line: its document, JSON. others: the document in each of the further formats. source: where it comes from, JSON
    before and behind the split. entities: ids and names of its pairs' ends. mentioned: ids of its mentions, None where
    there is none, and the keys of their texts (see `kogner.data.written`). relation, model, prompt: of the row.
    """

    line: str
    others: tuple[str, ...]
    source: tuple[str, str]
    entities: tuple[tuple[str, str], ...]
    mentioned: tuple[tuple[str | None, str], ...]
    relation: str
    model: str
    prompt: str


class NamesOf:
    """Scanners of a graph, one for each set of labels."""

    def __init__(self, graph: Path, index: Path | None) -> None:
        self.store, self._index = GraphStore.open(graph), index
        self._made: dict[tuple[str, ...], Any] = {}

    def __call__(self, labels: tuple[str, ...]) -> Any:
        """The scanner for the graph's types that have these labels, in whatever spelling."""
        from kogner.graph.scan import Scanner

        if labels not in self._made:
            keys = set(map(kind_key, labels))
            types = [kind for kind in self.store.types if kind_key(kind) in keys]
            self._made[labels] = Scanner(self.store, types, index=self._index)
        return self._made[labels]


@dataclass(frozen=True)
class Work:
    """How rows are judged. graph, index: as of `NamesOf`, None for no further names. formats: of FORMATS."""

    settings: CheckSettings
    graph: Path | None = None
    index: Path | None = None
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown:
            raise ConfigError(f"format {unknown[0]!r} is not one of {', '.join(FORMATS)}")


class Chunk(NamedTuple):
    """Lines of a file that follow each other. first: number of the first of them."""

    path: Path
    first: int
    lines: list[str]


Judged = list[tuple[str, Verdict, Kept | None]]  # id of a row, what the rules say, and the sentence unless left out


class Worker:
    """Judges chunks."""

    def __init__(self, work: Work) -> None:
        self._formats = work.formats
        self._rules = Rules(work.settings, None if work.graph is None else NamesOf(work.graph, work.index))

    def __call__(self, chunk: Chunk) -> Judged:
        """What becomes of the rows of a chunk. Raises InputError for a line that is no row."""
        judged: Judged = []
        for number, line in enumerate(chunk.lines, start=chunk.first):
            if line.strip():
                row = parse(line, chunk.path, number)
                verdict, document = self._rules.judge(row)
                judged.append((row.id, verdict, None if document is None else kept(row, document, self._formats)))
        return judged


def kept(row: Row, document: Document, formats: Sequence[str]) -> Kept:
    """A row and its document as they will be written."""
    kge = row.kge
    return Kept(
        jsonl.line_of(document),
        tuple([_other(name, document, kge) for name in formats]),
        _source(row),
        tuple([(identifier, name) for name, identifier in kge]),
        tuple([(one.entity, key_of(document.text[one.start : one.end])) for one in document.mentions]),
        row.pairs[0].relation,
        row.model,
        row.prompt,
    )


def _other(name: str, document: Document, kge: Sequence[tuple[str, str]]) -> str:
    if name == "gliner":
        return gliner.line_of(document, Report(), _NOWHERE)
    if name == "bmg":
        return jsonl.encoded(bmg.record(document, kge, Report(), _NOWHERE))
    return "\n".join(pubtator.lines_of(document, Report()))


def _source(row: Row) -> tuple[str, str]:
    """The row's line of provenance before and behind the split, which is not known yet."""
    raw = {
        "pairs": [pair.to_dict() for pair in row.pairs],
        "prompt": row.prompt,
        "model": row.model,
        "request": row.request,
        "repaired": row.repaired,
    }
    if row.asked:
        raw["asked"] = dict(row.asked)
    head, tail = jsonl.encoded({"id": row.id}), jsonl.encoded(raw)
    return f'{head[:-1]}, "split": ', f", {tail[1:]}"


def processes_for(sources: Sequence[Path], cores: int) -> int:
    """How many processes are worth their start for these files: one, or as many as there are cores."""
    size = sum(source.stat().st_size for source in sources if source.is_file())
    return 1 if size < ALONE else cores


def judged(sources: Sequence[Path], work: Work, *, processes: int = 1) -> Iterator[Judged]:
    """What becomes of the rows of some files, in their order, chunk by chunk.

    Raises InputError for a line that is no row, KognerError where a process was lost.
    """
    if processes == 1:
        yield from map(Worker(work), _chunks(sources))
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(work,))
    under_way: deque[Future[Judged]] = deque()
    try:
        for chunk in _chunks(sources):
            under_way.append(pool.submit(_judge, chunk))
            if len(under_way) >= AHEAD * processes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool as error:
        raise KognerError(
            f"one of {processes} processes was lost; is there enough memory for them? Give fewer with --processes"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(sources: Sequence[Path]) -> Iterator[Chunk]:
    for source in sources:
        held: list[str] = []
        number = 0
        for number, line in lines(source):
            held.append(line)
            if len(held) == CHUNK:
                yield Chunk(source, number - CHUNK + 1, held)
                held = []
        if held:
            yield Chunk(source, number - len(held) + 1, held)


_worker: Worker | None = None  # of a process of a pool


def _begin(work: Work) -> None:
    global _worker
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _worker = Worker(work)


def _judge(chunk: Chunk) -> Judged:
    assert _worker is not None
    return _worker(chunk)
