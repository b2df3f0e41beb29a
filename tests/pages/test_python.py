"""Every block of Python in the README and the pages runs; those that cannot are compiled, and their calls checked."""

from __future__ import annotations

import ast
import importlib
import inspect
from importlib.util import find_spec
from itertools import groupby

import pytest
from blocks import Block, blocks, fill

PYTHON = blocks("python")
OURS = "kogner"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder that looks like the project's to a reader, with what earlier commands of the pages leave there."""
    folder = tmp_path_factory.mktemp("project")
    fill(folder, graph=True)
    return folder


def _pages() -> list[list[Block]]:
    chosen = [block for block in PYTHON if block.reason is None]
    return [list(some) for _, some in groupby(chosen, key=lambda block: block.file)]


@pytest.mark.parametrize("some", _pages(), ids=lambda some: some[0].file)
def test_blocks_run(some, project, monkeypatch):
    """The blocks of a page one after the other, with the names of those before."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if some[0].file == "docs/howto/bulk.md":
        _annotated()
    names: dict[str, object] = {"__name__": "page"}
    missing = []
    for block in some:
        missing += [name for name in block.needs if not _is_there(name)]
        if not missing:
            code = compile("\n" * (block.line - 1) + block.code, block.file, "exec")
            exec(code, names)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def _annotated() -> None:
    """What the page's command of shell leaves, by one process in this one."""
    from pathlib import Path

    from kogner.annotate.predictor import Settings
    from kogner.bulk.folder import JobFolder
    from kogner.bulk.inputs import InputReader
    from kogner.bulk.shards import Cut
    from kogner.bulk.worker import Worker, WorkPlan
    from kogner.data.report import Report

    out = Path("build/annotated")
    folder, reader = JobFolder(out), InputReader()
    inputs = folder.begin({}, [Path("examples/notes.jsonl"), Path("examples/abstract.txt")])
    worker = Worker(WorkPlan("models/kogner-mini", ("chemical", "disease"), Settings(threads=1)), out)
    for one in inputs:
        for shard in reader.shards(one, Cut(), done={}):
            worker.write(shard)
    folder.write_manifest(
        {one.number: folder.finish(one, Report(), documents=reader.counts[one.number]) for one in inputs}
    )


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_names_and_keyword_arguments_exist(block):
    """Without running it: what is imported from us is there, and takes what it is given."""
    tree = ast.parse(block.code, filename=block.file)
    missing = [name for name in block.needs if not _is_there(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == OURS:
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                found[alias.asname or alias.name] = getattr(module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == OURS:
                    importlib.import_module(alias.name)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = _called(call.func, found)
        if called is not None:
            _check(call, called, str(block))


def _called(function: ast.expr, found: dict[str, object]) -> object | None:
    """What a call calls, where it is `name(...)` or `name.method(...)` of something of ours."""
    if isinstance(function, ast.Name):
        return found.get(function.id)
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in found:
        return getattr(found[function.value.id], function.attr)
    return None


def _check(call: ast.Call, called: object, where: str) -> None:
    parameters = inspect.signature(called).parameters  # type: ignore[arg-type]
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    unknown = {keyword.arg for keyword in call.keywords if keyword.arg} - parameters.keys()
    assert not unknown, f"{where}: {ast.unparse(call.func)} takes no {', '.join(sorted(unknown))}"


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_a_name_or_an_argument_that_is_wrong_is_found():
    block = "from kogner import KoGNER\nKoGNER.from_pretrained('x', grpah='y')"
    with pytest.raises(AssertionError, match="takes no grpah"):
        test_names_and_keyword_arguments_exist(Block("a page", 1, "python", block))
    with pytest.raises(AttributeError):
        test_names_and_keyword_arguments_exist(Block("a page", 1, "python", "from kogner import Kogner"))
