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


@pytest.mark.parametrize("target", ["run", "test", "graph", "teacher", "linked", "mini", "evaluate", "docs"])
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
