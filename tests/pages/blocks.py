"""Code blocks of the README and of the pages in docs/: what they are, and the folder that they are run in.

Above a block may stand a comment:
    <!-- not run: REASON -->       it needs a graph, the net, a server or minutes; it is checked, not run
    <!-- needs: MODULE, ... -->    of Python: skipped where one of the modules is not installed
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = ("cli", "api")  # folders that a build of the pages writes
CHECKED = ("sh", "python")
SHOWN = ("json", "text", "yaml")
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>not run|needs): (?P<said>[^\n]*?) -->\n)?^```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block. line: of the file, where its code begins. reason: why it is not run. needs: modules."""

    file: str
    line: int
    kind: str
    code: str
    reason: str | None = None
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def pages() -> list[Path]:
    """The README and all pages that are written by hand."""
    docs = ROOT / "docs"
    found = [page for page in docs.rglob("*.md") if page.relative_to(docs).parts[0] not in MADE]
    return [ROOT / "README.md", *sorted(found)]


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, those that are only shown among them."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        mark, said = match["mark"], match["said"] or ""
        found.append(
            Block(
                file=str(page.relative_to(ROOT)),
                line=text.count("\n", 0, match.start("code")) + 1,
                kind=match["kind"],
                code=match["code"],
                reason=said if mark == "not run" else None,
                needs=tuple(one.strip() for one in said.split(",")) if mark == "needs" else (),
            )
        )
    return found


def blocks(kind: str) -> list[Block]:
    """The blocks of a kind in all pages."""
    return [block for page in pages() for block in blocks_of(page) if block.kind == kind]


def fill(folder: Path, *, graph: bool) -> None:
    """Make a folder look as the project does to a reader of its pages. graph: with build/graph, the small example."""
    for name in ("examples", "models", "recipes"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "build").mkdir()  # `make run` has made it
    if graph:
        from kogner.graph import store
        from kogner.graph.readers.registry import table_source
        from kogner.graph.rejections import Rejections

        rejected = Rejections()
        tables = ROOT / "examples" / "graph"
        for name in ("graph", "small-graph"):  # the README's, which stands for the large one, and the pages'
            source = table_source(tables / "nodes.tsv", tables / "edges.tsv", rejected=rejected)
            store.build(source.entities, source.triples, folder / "build" / name, rejected=rejected)
        assert not rejected.lines()
