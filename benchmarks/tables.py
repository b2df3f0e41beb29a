"""Write the tables of the documents, from benchmarks/results/*.json and from the code.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.

With --check nothing is written, and the exit code is 1 where a table is not what the results say.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from kogner.artifacts import write_atomic
from tabulated import answer, code, entities, evidence, plans, quality, rounds, short, speed, teacher, writing

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", *sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"(<!-- table: ([a-z0-9-]+) -->\n)(?:(?!<!-- table: ).)*?(<!-- end -->)", re.DOTALL)
TABLES: dict[str, Callable[[], str]] = {
    "bulk": speed.bulk,
    "bulk-cost": speed.bulk_cost,
    "load": speed.load,
    "mini": quality.mini,
    "suite": quality.suite,
    "suite-in-short": quality.suite_in_short,
    "published": quality.published,
    "distilled": evidence.distilled,
    "tried": evidence.tried,
    "baseline": evidence.baseline,
    "teacher": teacher.teacher,
    "teacher-sizes": teacher.teacher_sizes,
    "unimp": teacher.unimp,
    "graph": teacher.graph,
    "transr-pykeen": teacher.transr_pykeen,
    "inside": quality.inside,
    "memory": speed.memory,
    "padding": speed.padding,
    "judged": quality.judged,
    "scanner": quality.scanner,
    "ages": quality.ages,
    "names": quality.names,
    "thresholds": quality.thresholds,
    "overlaps": evidence.overlaps,
    "in-short": answer.in_short,
    "few-and-all": evidence.few_and_all,
    "self-training": rounds.self_training,
    "unseen": rounds.unseen,
    "entities": entities.entities,
    "by-entity": entities.by_entity,
    "all-types": plans.all_types,
    "few-documents": plans.few_documents,
    "teacher-parts": plans.teacher_parts,
    "all-documents": plans.all_documents,
    "vectors": plans.vectors,
    "link": quality.link,
    "spans": quality.spans,
    "annotate": speed.annotate,
    "annotate-zen4": lambda: speed.annotate("annotate-zen4"),
    "annotate-avx2": lambda: speed.annotate("annotate-avx2"),
    "check": writing.check,
    "write": writing.write,
    "silver": writing.silver,
    "zero-shot": writing.zero_shot,
    "training": speed.training,
    "training-avx2": lambda: speed.training("train-avx2"),
    "helps-in-short": short.helps_in_short,
    "helps": short.helps,
    "helps-by-entity-in-short": short.by_entity_in_short,
    "fast": short.speed,
    "formats": code.formats,
    "sources": code.sources,
    "limits": code.limits,
}


def render(name: str) -> str:
    """A table, or a line that says that it was not measured yet."""
    try:
        return TABLES[name]()
    except FileNotFoundError:
        return "Not measured yet.\n"


def main() -> None:
    stale = []
    for name in DOCUMENTS:
        file = ROOT / name
        old = file.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda match: match[1] + render(match[2]) + match[3], old)
        if new != old:
            stale.append(name)
            if "--check" not in sys.argv:
                write_atomic(file, new)
    if "--check" in sys.argv and stale:
        sys.exit(f"tables of {', '.join(stale)} are not what benchmarks/results says; run: make tables")
    print(json.dumps({"updated": stale}))


if __name__ == "__main__":
    main()
