from __future__ import annotations

import json
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


def test_goals_of_writing_and_checking_are_said_as_missed_where_they_are(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from tabulated import markdown, writing

    monkeypatch.setattr(markdown, "RESULTS", tmp_path)
    about = {"date": "2026-11-26", "revision": "abc", "machine": {"gpu": None, "processor": "a processor", "cores": 2}}
    speeds = {"paper_sentences_per_s": 1, "with_graph_sentences_per_s": 1, "sentences": 9}
    for speed, said in ((19_999, "is missed"), (20_000, "is reached")):
        (tmp_path / "check.json").write_text(json.dumps(about | speeds | {"sentences_per_s": speed}))
        assert f"Our goal of 20,000 a second {said}" in writing.check()
    run = {"bound_per_s": 128.0, "requests_per_s": 120.0, "rows_per_s": 100.0}
    for asked, rows, said in ((0.95, 0.95, "is reached."), (0.95, 0.8, "is missed from pairs to rows at 0.5 s.")):
        results = [run | {"delay_s": 0.5, "of_bound": asked, "rows_of_bound": rows}]
        (tmp_path / "llm.json").write_text(json.dumps(about | {"at_once": 64, "cores": 2, "results": results}))
        assert said in writing.write()


def test_tables_of_bulk_before_and_after_it_was_measured(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from tabulated import markdown, speed

    monkeypatch.setattr(markdown, "RESULTS", tmp_path)
    assert "| not measured yet |" in speed.bulk() and "not measured yet" in speed.bulk_cost()
    measured = {
        "documents": 50_000, "characters": 40_000_000, "documents_per_s": 8.0, "peak_mb": 2100,
        "memory_mb": {"first tenth": 2000, "last tenth": 2010}, "kills": {"worker": 10, "job": 10},
        "missing": 0, "doubled": 0, "date": "2026-11-26", "revision": "abc",
        "machine": {"gpu": None, "processor": "a processor", "cores": 2},
    }  # fmt: skip
    (tmp_path / "bulk.json").write_text(json.dumps(measured), encoding="utf-8")
    assert "| 50,000 | 800 | 8.0 | 2 | 4.00 | 2,100 at most" in speed.bulk() and "| 0 | 0 |" in speed.bulk()
    # 38 million abstracts at 4 a second and core
    assert "38,000,000 / 4.00 / 3,600 = **2,639**" in speed.bulk_cost() and "x 0.05 = **132**" in speed.bulk_cost()
    faster = measured | {"precision": "bf16", "documents_per_s": 16.0, "command": "make it"}
    for name, data in (("bulk", measured | {"command": "make"}), ("bulk-auto", faster)):
        (tmp_path / f"{name}.json").write_text(json.dumps(data), encoding="utf-8")
    assert "| fp32 | 50,000 | 800 | 8.0 |" in speed.bulk() and "| bf16 | 50,000 | 800 | 16.0 |" in speed.bulk()
    assert "`make it`: Measured" in speed.bulk() and "bf16 | 38,000,000 / 8.00" in speed.bulk_cost()
