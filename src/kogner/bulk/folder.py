"""The folder of a job: what it was asked, one file a shard and what became of it, and at the end a manifest.

    job.json                     how documents are annotated and cut, and the inputs, in the order they were given
    parts/00000-NAME/00000.jsonl a shard's documents; 00000.json counts and failures, written last: it makes it done
    parts/00000-NAME/input.json  counts of a whole input, written when all of its shards are done
    failures.jsonl               one line a document without a result: input, place in it from 0, id, reason
    manifest.json                counts of all

Every file is written beside its place and moved there, so that what a killed job left is either done or not there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kogner.artifacts import write_atomic, write_lines
from kogner.bulk.shards import Failure
from kogner.bulk.source import Input
from kogner.data.report import EXAMPLES, Report
from kogner.errors import ArtifactError, InputError, KognerError
from kogner.progress import counting, note
from kogner.records import Document

VERSION = 1
JOB, MANIFEST, FAILURES, PARTS, INPUT = "job.json", "manifest.json", "failures.jsonl", "parts", "input.json"
_DONE = re.compile(r"\d+\.json")


@dataclass(frozen=True)
class ShardResult:
    """What became of a shard. documents: of the input, failed ones among them. entities: found, by type. linked: of
    them. characters: of the annotated documents. refused: failures that were not tried.

    lost: what the shard's format does not hold, or holds in another way, counted by what.
    """

    input: int
    number: int
    documents: int
    entities: Mapping[str, int]
    linked: int = 0
    characters: int = 0
    failures: tuple[Failure, ...] = ()
    refused: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """Of an input, or of all: documents = annotated + failed. skipped: by the reader, by reason.

    examples: for each reason the first places where something was skipped or repaired. error: why it could not be read
    to its end.
    """

    documents: int = 0
    failed: int = 0
    entities: Mapping[str, int] = field(default_factory=dict)
    linked: int = 0
    characters: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, list[str]] = field(default_factory=dict)
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        raw = asdict(self)
        error = raw.pop("error")
        raw["annotated"] = self.documents - self.failed
        return raw | ({} if error is None else {"error": error})


class JobFolder:
    """A job's folder on disk. Several processes may write shards into it at once."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._inputs: list[Input] | None = None

    def begin(self, said: Mapping[str, Any], inputs: Sequence[Path], *, again: bool = False) -> list[Input]:
        """Say what the job is, or go on with one that is there; its inputs, numbered.

        said: how documents are annotated and cut, as plain data. again: shards with failures are done again.
        Inputs that the job does not know yet are added; a file is one input however its path is written, and through
        whichever link; one that was moved is known by its name and content; one that was changed before it was done is
        begun anew.
        Raises ArtifactError where the folder holds something else, a job with another plan, or one that is done with an
        input that was changed since.
        """
        file = self.path / JOB
        known: list[Input] = []
        if file.is_file():
            raw = self._job()
            _same(self.path, raw["plan"], json.loads(json.dumps(said)))
            known = [Input(**one) for one in raw["inputs"]]
        elif self.path.exists() and (not self.path.is_dir() or any(map(_is_content, self.path.iterdir()))):
            raise ArtifactError(f"{self.path} is there and holds no job of annotation; give another folder")
        chosen = []
        places = _places(known)
        with counting("inputs looked at", len(inputs)) as counter:  # new ones are read to their end for their hash
            for path in inputs:
                real = os.path.realpath(path)
                one = self._known(path, known, places.get(real))
                if one.number in chosen:
                    first = "" if one.path == str(path.absolute()) else f", first as {one.path}"
                    raise InputError(f"is given twice{first}", path=path)
                known[one.number : one.number + 1] = [one]
                places.setdefault(real, one.number)
                chosen.append(one.number)
                counter.advance()
        self.path.mkdir(parents=True, exist_ok=True)
        for stale in (MANIFEST, FAILURES):  # until all is done they would say what is not so
            (self.path / stale).unlink(missing_ok=True)
        job = {"version": VERSION, "plan": said, "inputs": [asdict(one) for one in known]}
        write_atomic(file, json.dumps(job, indent=2) + "\n")
        self._inputs = known
        for left in self.path.rglob(".*.tmp"):  # of processes that were killed while they wrote
            left.unlink(missing_ok=True)
        for number in chosen:
            self._parts(known[number]).mkdir(parents=True, exist_ok=True)
            if again:
                self._forget_failures(known[number])
        return [known[number] for number in chosen]

    def _known(self, path: Path, known: Sequence[Input], place: int | None) -> Input:
        """The input that a file is, old or new. place: number of the one that is this file under another path."""
        name = str(path.absolute())
        same = next((one for one in known if one.path == name), None if place is None else known[place])
        if same is not None and same.is_as_it_was(path):
            return same
        now = Input.of(len(known) if same is None else same.number, path)
        if same is None:
            moved = (one for one in known if (Path(one.path).name, one.digest) == (path.name, now.digest))
            before = next((one for one in moved if not Path(one.path).exists()), None)
            return now if before is None else replace(now, number=before.number)
        now = replace(now, path=same.path)  # its shards' folder has the name
        if same.digest != now.digest:
            if (self._parts(same) / INPUT).is_file():
                raise ArtifactError(
                    f"{path} has changed since it was annotated into {self.path}; give another folder, or the file "
                    "under another name to have it annotated beside the old one"
                )
            if self._numbers(same):
                note(f"{path} has changed since it was begun, and is annotated from its beginning again")
            shutil.rmtree(self._parts(same), ignore_errors=True)
        return now

    def _forget_failures(self, one: Input) -> None:
        for result in list(self.results(one)):
            if result.failures:
                (self._parts(one) / INPUT).unlink(missing_ok=True)
                (self._parts(one) / f"{result.number:05d}.json").unlink()

    def write_shard(self, result: ShardResult, documents: Sequence[Document], *, form: str, explain: bool) -> None:
        """Write a shard's documents, then that it is done."""
        from kogner.annotate import output
        from kogner.data.formats.registry import by_name

        place = self._parts(self.inputs()[result.input])
        stem = f"{result.number:05d}"
        if form == "jsonl":
            write_lines(place / f"{stem}.jsonl", (output.to_json(one, explain=explain) for one in documents))
        else:
            wanted, report = by_name(form), Report()
            for document in documents:
                for what, count in wanted.not_kept(document):
                    report.note(what, count)
            wanted.save(place / f"{stem}{wanted.endings[0]}", documents, report=report)
            result = replace(result, lost=dict(report.skipped + report.repaired + report.noted))
        write_atomic(place / f"{stem}.json", json.dumps(asdict(result)))

    def done(self, one: Input) -> dict[int, int]:
        """How many documents each of an input's shards has that are done, by number."""
        return {result.number: result.documents for result in self.results(one)}

    def finished(self, one: Input) -> Counts | None:
        """The counts of an input whose shards are all done, else None."""
        file = self._parts(one) / INPUT
        if not file.is_file():
            return None
        raw = json.loads(file.read_text(encoding="utf-8"))
        raw.pop("annotated")
        return Counts(**raw)

    def finish(self, one: Input, report: Report, *, documents: int, error: str | None = None) -> Counts:
        """Add up an input's shards. Unless it could not be read to its end, it is not looked at again.

        documents: that were read. Raises KognerError where a shard is missing, or documents have no result.
        """
        if error is None:
            self._drop_behind(one, documents)
        numbers = self._numbers(one)
        if error is None and numbers != set(range(len(numbers))):
            missing = min(set(range(len(numbers))) - numbers)
            raise KognerError(f"{one.path}: shard {missing} of {self._parts(one)} is missing; give the command again")
        sums = self._sums(one)
        if error is None and sums["documents"] != documents:
            raise KognerError(
                f"{one.path}: {documents:,} documents were read, and there are results of {sums['documents']:,}; give "
                "the command again"
            )
        noted = dict(report.noted + report.repaired + sums.pop("lost"))
        counts = Counts(
            **sums, skipped=dict(report.skipped), noted=noted, examples=dict(report.examples), error=error
        )  # fmt: skip
        if error is None:
            write_atomic(self._parts(one) / INPUT, json.dumps(counts.to_dict()))
        return counts

    def _drop_behind(self, one: Input, documents: int) -> None:
        """Remove shards that begin behind the last document, of a run whose reader found more of them."""
        before = 0
        for result in list(self.results(one)):
            if before >= documents:
                stem = f"{result.number:05d}"
                note(f"{one.path}: shard {result.number} of an earlier run lies behind its end now, and is removed")
                (self._parts(one) / f"{stem}.json").unlink()
                for left in self._parts(one).glob(f"{stem}.*"):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            before += result.documents

    def results(self, one: Input) -> Iterator[ShardResult]:
        """What became of an input's shards, in their order."""
        for number in sorted(self._numbers(one)):
            raw = json.loads((self._parts(one) / f"{number:05d}.json").read_text(encoding="utf-8"))
            failures = tuple(Failure(**failure) for failure in raw.pop("failures"))
            yield ShardResult(**raw, failures=failures)

    def _numbers(self, one: Input) -> set[int]:
        return {int(file.stem) for file in self._parts(one).glob("*.json") if _DONE.fullmatch(file.name)}

    def inputs(self) -> list[Input]:
        """All inputs of the job."""
        if self._inputs is None:
            self._inputs = [Input(**one) for one in self._job()["inputs"]]
        return self._inputs

    def write_manifest(self, counts: Mapping[int, Counts], **more: Any) -> dict[str, Any]:
        """Write failures.jsonl and manifest.json; returns what the latter says. more: further figures.

        counts: of inputs, by number; those of inputs that were finished before are read.
        """
        inputs = self.inputs()
        all_counts = {one.number: counts.get(one.number) or self.finished(one) for one in inputs}

        def failures() -> Iterator[str]:
            for one in inputs:
                for result in self.results(one):
                    for failure in result.failures:
                        yield json.dumps({"input": one.path, **asdict(failure)})

        write_lines(self.path / FAILURES, failures())
        known = [found for found in all_counts.values() if found is not None]
        total = Counts(
            documents=sum(one.documents for one in known),
            failed=sum(one.failed for one in known),
            entities=dict(sorted(sum((Counter(one.entities) for one in known), Counter()).items())),
            linked=sum(one.linked for one in known),
            characters=sum(one.characters for one in known),
            skipped=dict(sum((Counter(one.skipped) for one in known), Counter())),
            noted=dict(sum((Counter(one.noted) for one in known), Counter())),
            examples=_first(one.examples for one in known),
        )
        listed = [
            {"path": one.path, "folder": f"{PARTS}/{one.folder}", "bytes": one.bytes}
            | ({"error": "was not read to its end"} if (found := all_counts[one.number]) is None else found.to_dict())
            for one in inputs
        ]
        manifest = {"version": VERSION, **total.to_dict(), **more, "plan": self._job()["plan"], "inputs": listed}
        write_atomic(self.path / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        return manifest

    def _sums(self, one: Input) -> dict[str, Any]:
        documents = failed = linked = characters = 0
        entities: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        for result in self.results(one):
            documents += result.documents
            failed += len(result.failures)
            linked += result.linked
            characters += result.characters
            entities.update(result.entities)
            lost.update(result.lost)
        return {
            "documents": documents, "failed": failed, "entities": dict(sorted(entities.items())), "linked": linked,
            "characters": characters, "lost": lost,
        }  # fmt: skip

    def _job(self) -> dict[str, Any]:
        file = self.path / JOB
        try:
            raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            version = raw["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{file} cannot be read ({error}); give another folder") from error
        if version != VERSION:
            raise ArtifactError(f"{file} has version {version}, this KoGNER reads {VERSION}; give another folder")
        return raw

    def _parts(self, one: Input) -> Path:
        return self.path / PARTS / one.folder


def _places(known: Sequence[Input]) -> dict[str, int]:
    """Numbers of inputs by what is at their paths, links followed; without links that may point elsewhere by now."""
    return {
        real: one.number
        for one in reversed(known)  # the first counts, where a job of an older KoGNER has a file twice
        if (real := os.path.realpath(one.path)) == one.path or one.is_as_it_was(Path(one.path))
    }


def _same(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key in now:
        if before.get(key) != now[key]:
            raise ArtifactError(
                f"{path} was begun with {key} = {json.dumps(before.get(key))}, not {json.dumps(now[key])}; go on with "
                "what it was begun with, or give another folder"
            )


def _first(examples: Iterable[Mapping[str, list[str]]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in examples:
        for reason, places in one.items():
            found[reason] = [*found.get(reason, ()), *places][:EXAMPLES]
    return found


def _is_content(path: Path) -> bool:
    """Whether it is more than what a process that was killed while it wrote left behind."""
    return not (path.name.startswith(".") and path.name.endswith(".tmp"))
