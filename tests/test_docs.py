from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_tables_are_what_the_results_say():
    script = ROOT / "benchmarks" / "tables.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readmes_commands_and_options_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("kogner ")]
    assert len(lines) >= 8
    for line in lines:
        words = line.split(">")[0].split()
        command = [words[1], words[2]] if words[1] in ("graph", "teacher", "data", "experiment") else [words[1]]
        helped = subprocess.run(
            [sys.executable, "-m", "kogner.cli", *command, "--help"], capture_output=True, text=True, check=False
        )
        assert helped.returncode == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in helped.stdout, f"{option} in: {line}"


@pytest.mark.parametrize("target", ["run", "test", "graph", "teacher", "linked", "mini", "evaluate"])
def test_make_targets_have_help(target):
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_benchmark_can_be_started():
    """Their imports of ours are checked; some import another tool first, which is not installed here."""
    code = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        assert error.name.split(".")[0] in ("gliner", "pykeen"), error
"""
    names = [path.stem for path in sorted((ROOT / "benchmarks").glob("*.py"))]
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT / "benchmarks", capture_output=True, text=True, check=False
    )
    assert len(names) > 10 and done.returncode == 0, done.stderr
