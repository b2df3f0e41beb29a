"""Every line of shell in the README and the pages: its command exists, and so do its options and their values."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import groupby

import click
import pytest
from blocks import CHECKED, ROOT, SHOWN, Block, blocks, blocks_of, fill, pages

from kogner.cli import cli

SHELL = blocks("sh")
PLAIN = {"echo", "openssl", "chmod", "."}  # of the system, with nothing of ours in them


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a block: lines that go on are joined, comments left out, pipes taken apart."""
    found = []
    for line in re.sub(r"\\\n\s*", "", block.code).splitlines():
        words = shlex.split(line, comments=True)
        part: list[str] = []
        for word in [*words, "|"]:
            if word == "|":
                found += [part] if part else []
                part = []
            elif word.startswith(">"):
                break
            else:
                part.append(word)
        else:
            continue
        found.append(part)
    return found


def check_kogner(words: list[str]) -> None:
    """Parse a line as the command itself would, without running it. Raises click's errors."""
    command: click.Command = cli
    name, rest = "kogner", [word for word in words if word not in ("--quiet", "--debug")]
    context = click.Context(cli, info_name=name)
    while isinstance(command, click.Group):
        name, *rest = rest
        found = command.get_command(context, name)
        assert found is not None, f"no command {name}"
        command, context = found, click.Context(found, parent=context, info_name=name)
    values, left, _ = command.make_parser(context).parse_args(rest)
    assert not left, f"too many arguments: {left}"
    for parameter in command.params:
        value = values.get(parameter.name)
        if parameter.required and parameter.name not in values:
            raise click.UsageError(f"{parameter.name} is missing")
        if parameter.name in values and not isinstance(parameter.type, click.Path | click.File):
            parameter.type_cast_value(context, value)


def check_make(targets: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("$(VENV)", ".venv")
    for target in (word for word in targets if "=" not in word):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"no target {target}"


def check_pip(words: list[str]) -> None:
    assert words[0] == "install"
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"kogner\[([a-z,]+)\]", " ".join(words)):
        for one in extra.split(","):
            assert re.search(rf"^{one} = \[", project, re.MULTILINE), f"no extra {one}"


def check_curl(words: list[str]) -> None:
    app = (ROOT / "src/kogner/serve/app.py").read_text(encoding="utf-8")
    (address,) = (word for word in words if word.startswith("http://"))
    assert f'"/{address.split("/", 3)[3]}"' in app, address


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_options_and_values_exist(block):
    found = commands(block)
    assert found
    for name, *words in found:
        checks = {"kogner": check_kogner, "make": check_make, "pip": check_pip, "curl": check_curl}
        if name in PLAIN:
            continue
        assert name in checks, f"{block}: {name} is no command that the pages may use"
        try:
            checks[name](words)
        except (click.ClickException, AssertionError) as error:
            said = error.format_message() if isinstance(error, click.ClickException) else error
            pytest.fail(f"{block}: {name} {' '.join(words)}: {said}")


@pytest.mark.parametrize(
    "line",
    ["annotate x --label disease", "annotate x", "annotate x --labels a --format tabel", "graph bild --out x",
     "serve --port 99999999", "data info --data a=b c"],
)  # fmt: skip
def test_a_line_that_is_wrong_is_found(line):
    with pytest.raises((click.ClickException, AssertionError)):
        check_kogner(line.split())


def test_all_pages_are_looked_at_and_their_blocks_are_of_known_kinds():
    assert len(pages()) > 25 and len(SHELL) > 40
    for page in pages():
        for block in blocks_of(page):
            known = block.kind in (*CHECKED, *SHOWN) or block.kind.startswith("{")
            assert known, f"{block}: a block of kind {block.kind!r} is checked by no test"


def _runnable() -> list[list[Block]]:
    chosen = [block for block in SHELL if block.reason is None]
    return [list(some) for _, some in groupby(chosen, key=lambda block: block.file)]


@pytest.mark.slow
@pytest.mark.parametrize("some", _runnable(), ids=lambda some: some[0].file)
def test_blocks_run(some, tmp_path):
    """The blocks of a page one after the other, in a folder that looks like the project's, with no net."""
    fill(tmp_path, graph=some[0].file == "README.md")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    script = bin_ / "kogner"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kogner.cli "$@"\n')
    script.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "HF_HUB_OFFLINE": "1",
    }
    for block in some:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", block.code],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
