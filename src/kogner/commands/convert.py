"""`kogner convert`: documents of one format into another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kogner.commands.options import same_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kogner.records import Document


@click.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", metavar="TARGET")
@click.option(
    "--from",
    "from_",
    help="Format of SOURCE; csv:TEXT,ID (or parquet:, jsonl:) also says which "
    "columns texts and ids stand in. Default: told by its content.",
)
@click.option("--to", help="Format of TARGET. Default: told by its ending.")
@click.option("--strict", is_flag=True, help="Stop at the first thing that would be skipped or repaired.")
def command(source: Path, target: str, from_: str | None, to: str | None, strict: bool) -> None:
    """Convert SOURCE, a file or a BRAT folder, into TARGET: mentions keep their offsets and ids.

    \b
    Formats: jsonl, pubtator, bioc-xml, bioc-json, brat, conll, gliner, docbin (spaCy's); read only: text, genia,
    pubmed, jats, csv, parquet. Files may be packed (.gz, .xz, .zst). What a format cannot hold is counted and said.
    The last line printed is one JSON object. Example:
      kogner convert corpora/bc5cdr/test.pubtator test.bioc.xml
      kogner convert found.jsonl annotated/ --to brat
      kogner convert PMC3166277.nxml article.bioc.json.zst
    """
    from kogner.data.formats.registry import by_name, of_input, of_output
    from kogner.data.report import Report
    from kogner.errors import ConfigError
    from kogner.progress import counting, note

    there = by_name(from_) if from_ else of_input(source)
    out = Path(target)
    wanted = by_name(to) if to else of_output(target)
    if same_file(source, out):
        raise ConfigError(f"{target} is the file to convert; write to another")
    read = there.read
    if read is None:
        raise ConfigError(f"format {there.name} is written only")
    report = Report(strict=strict)
    counts = {"documents": 0, "mentions": 0}

    def counted() -> Iterator[Document]:
        with counting("documents converted") as counter:
            for document in read(source, report=report):
                counts["documents"] += 1
                counts["mentions"] += len(document.mentions)
                for what, count in wanted.not_kept(document):
                    report.note(what, count)
                counter.advance()
                yield document

    out.parent.mkdir(parents=True, exist_ok=True)
    wanted.save(out, counted(), report=report)
    for line in report.lines():
        note(f"{source}: {line}")
    for reason, count in sorted(report.noted.items()):
        if count:
            note(f"{source}: {count:,} x {reason}")
    click.echo(json.dumps({"from": there.name, "to": wanted.name, "out": str(out), **counts, **report.to_dict()}))
