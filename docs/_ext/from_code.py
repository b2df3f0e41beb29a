"""What the pages take from the code: a page a command, the pages of classes and functions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

# Titles of the pages of the API, what each is about, and what stands on it; a module alone stands for all it defines.
API: dict[str, tuple[str, tuple[str, ...]]] = {
    "Models": (
        "Open a model, find entities in texts, write it to disk.",
        ("kogner.api:KoGNER", "kogner.api:FoundEntity", "kogner.api:Entities", "kogner.annotate.predictor:Predictor",
         "kogner.annotate.predictor:Settings", "kogner.annotate.annotator:Annotator",
         "kogner.annotate.annotator:GraphUse", "kogner.student.layout:read_config"),
    ),
    "Frames, scikit-learn, spaCy": (
        "Entities of a column of texts, as a step of a pipeline, and in spaCy's documents.",
        ("kogner.frames:annotate_frame", "kogner.extractor:EntityExtractor", "kogner.spacy_component:KognerPipe"),
    ),
    "Records": ("What travels through the code. Spans are half-open and count code points.", ("kogner.records",)),
    "Graph and linking": (
        "A graph on disk, and the ids of mentions in it.",
        ("kogner.graph.store:GraphStore", "kogner.graph.store:build", "kogner.graph.scan:Scanner",
         "kogner.link.linker:EntityLinker", "kogner.link.linker:LinkSettings", "kogner.link.candidates:Candidate"),
    ),
    "Teacher": ("Vectors of the graph's entities.", ("kogner.teacher.bank:Bank",)),
    "Formats": (
        "Documents of files. The table of formats is on a page of its own.",
        ("kogner.data.formats.registry:Format", "kogner.data.formats.registry:by_name",
         "kogner.data.formats.registry:of_input", "kogner.data.formats.registry:of_output",
         "kogner.annotate.texts:read_documents", "kogner.data.report:Report"),
    ),
    "Bulk": (
        "Any number of documents into a folder.",
        ("kogner.bulk.job:Job", "kogner.bulk.worker:WorkPlan", "kogner.bulk.shards:Cut", "kogner.bulk.shards:Failure",
         "kogner.bulk.folder:JobFolder"),
    ),
    "Evaluation": (
        "Scores of found entities, and what a difference of two models is worth.",
        ("kogner.evaluate.spans", "kogner.evaluate.significance"),
    ),
    "Recipes": ("The sections and keys of a recipe, with what they are when nothing is said.", ("kogner.config",)),
    "Errors": ("What a user can cause and mend. `kogner` prints them in one line and ends with code 2.",
               ("kogner.errors", "kogner.serve.limits:RequestError")),
}  # fmt: skip
_PIECE = re.compile(r"(?<=[.;]) (?=[a-z_][a-z0-9_, ]{0,60}: |Raises )")
_CODE = re.compile(r"`([^`]+)`")


def write_pages(app: Sphinx) -> None:
    """A page for each command in docs/cli and for each part of the API in docs/api, made anew by each build."""
    from kogner.cli import COMMANDS, cli

    place = Path(app.srcdir)
    context = None
    commands = []
    for name, about in COMMANDS.items():
        command = cli.get_command(context, name)  # type: ignore[arg-type]
        assert command is not None
        where = f"{command.callback.__module__}:{_name_in_module(command)}"
        _write(place / "cli" / f"{name}.rst", f".. click:: {where}\n   :prog: kogner {name}\n   :nested: full\n")
        commands.append((f"cli/{name}", f"`kogner {name}`", about))
    parts = []
    for title, (about, names) in API.items():
        slug = re.sub(r"\W+", "-", title.lower()).strip("-")
        there = [name for name in names if _is_there(name)]
        if not there:
            continue
        _write(place / "api" / f"{slug}.rst", f"{title}\n{'=' * len(title)}\n\n{about}\n\n{_autodoc(there)}\n")
        parts.append((f"api/{slug}", title, about))
    _write(place / "cli" / "index.md", _index("Commands", _CLI, commands))
    _write(place / "api" / "index.md", _index("Python", _PYTHON, parts))


_CLI = """Made from the commands themselves; `kogner COMMAND --help` prints the same. Two options go anywhere on a line:
`--quiet` (no progress, no notes) and `--debug` (the traceback of an error). A wrong option or input ends with code 2
and one line on standard error, Ctrl-C with 130."""
_PYTHON = """Made from the code. `import kogner` loads neither torch nor pyarrow; the names of `kogner` itself
are found when they are first used. What is not listed here may change without notice."""


def _index(title: str, about: str, pages: Sequence[tuple[str, str, str]]) -> str:
    rows = "\n".join(f"| [{name}]({Path(page).name}.rst) | {said} |" for page, name, said in pages)
    listed = "\n".join(Path(page).name for page, _, _ in pages)
    return f"# {title}\n\n{about}\n\n|  |  |\n|---|---|\n{rows}\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def _name_in_module(command: Any) -> str:
    module = import_module(command.callback.__module__)
    return next(name for name, value in vars(module).items() if value is command)


def _is_there(name: str) -> bool:
    """Whether a module is there with all that it imports, and has the name."""
    module, _, attribute = name.partition(":")
    if find_spec(module) is None:
        return False
    from kogner.errors import MissingExtraError

    try:
        return not attribute or hasattr(import_module(module), attribute)
    except MissingExtraError:
        return False


def _autodoc(names: Sequence[str]) -> str:
    return "\n".join(line for name in names for line in _directive(name))


def _directive(name: str) -> Iterator[str]:
    module, _, attribute = name.partition(":")
    if not attribute:
        yield f".. automodule:: {module}\n"
        return
    kind = "class" if inspect.isclass(getattr(import_module(module), attribute)) else "function"
    yield f".. auto{kind}:: {module}.{attribute}\n"


def to_rst(app: Sphinx, what: str, name: str, obj: Any, options: object, lines: list[str]) -> None:
    """Docstrings are written to be read in the code: `name: what it is`. Here each such name becomes an item."""
    known = _names_of(obj)
    made: list[str] = []
    for paragraph in re.split(r"\n[ \t]*\n", inspect.cleandoc("\n".join(lines))):
        if paragraph.lstrip().startswith((">>>", "kogner ")) or "\n  " in paragraph:
            shown = inspect.cleandoc(paragraph).replace("  # doctest: +SKIP", "").split("\n")
            made += shown if shown[0].startswith(">>>") else ["::", "", *(f"   {line}" for line in shown)]
        else:
            made += _paragraph(" ".join(map(str.strip, paragraph.split("\n"))), known)
        made.append("")
    lines[:] = made


def _names_of(obj: Any) -> set[str]:
    """Parameters of a function or class, and fields of a class."""
    try:
        found = set(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        found = set()
    return found | set(getattr(obj, "__annotations__", ()))


def _paragraph(text: str, known: set[str]) -> list[str]:
    pieces = _PIECE.split(text)
    made: list[str] = []
    for piece in pieces:
        head, colon, rest = piece.partition(": ")
        if colon and known and {one.strip() for one in head.split(",")} <= known:
            made.append(f"- **{head}**: {_escaped(rest)}")
        elif made and not piece.startswith("Raises "):
            made[-1] += f" {_escaped(piece)}"
        else:
            made += ["", _escaped(piece)]
    return made


def examples(app: Sphinx, ctx: object, lines: list[str]) -> None:
    """Examples in a command's help, which sphinx-click gives as lines that begin with a bar, become code."""
    made: list[str] = []
    for line in lines:
        if not line.startswith("| "):
            made.append(line)
        elif line.startswith("|   "):
            if not made or not made[-1].startswith("   "):
                made += ["", ".. code-block:: sh", ""]
            made.append(f"   {line[2:].strip()}")
        else:
            made += ["", line[2:]]
    lines[:] = [*made, ""]


def plain(app: Sphinx, ctx: object, lines: list[str]) -> None:
    """`owner/name@revision` in a command's help is no address of mail."""
    lines[:] = [line.replace("@", "\\@") for line in lines]


def _escaped(text: str) -> str:
    parts = _CODE.split(text)
    for place, part in enumerate(parts):
        parts[place] = f"``{part}``" if place % 2 else re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", part)
    return "".join(parts)


def without_results(app: Sphinx, page: str, content: list[str]) -> None:
    """results.md is written by `kogner experiment report`; before that no page may ask for it."""
    if page == "index" and not (Path(app.srcdir) / "results.md").is_file():
        content[0] = content[0].replace("\nresults\n", "\n")


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entry."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", without_results)
    app.connect("autodoc-process-docstring", to_rst)
    app.connect("sphinx-click-process-description", examples)
    app.connect("sphinx-click-process-options", plain)
    return {"parallel_read_safe": True, "version": "1"}
