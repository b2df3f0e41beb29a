from __future__ import annotations

import json
import subprocess
import sys

from kogner import artifacts
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo

PUBTATOR = (
    "1|t|Aspirin and fever\n1|a|Morphine caused pain.\n"
    "1\t0\t7\tAspirin\tChemical\tD001241\n1\t34\t38\tpain\tDisease\tD010146\n\n"
)


def test_one_json_line_with_the_agreed_keys(tiny_student, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "test.PubTator.txt").write_text(PUBTATOR)
    model = tmp_path / "student"
    with artifacts.writing(model, kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(tiny_student, StudentInfo(), folder)
    command = [sys.executable, "-m", "kogner.cli", "evaluate", "--model", str(model), "--data", f"made={tmp_path}/made"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    result = json.loads(line)["made"]
    assert {"precision", "recall", "f1", "gold", "by_type"} <= set(result)
    assert result["gold"] == 2
    assert set(result["by_type"]) == {"chemical", "disease"}
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert json.loads(table[-1])["made"]["gold"] == 2
    assert len(table) > 3
    bad = subprocess.run([*command, "--data", "nowhere"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert "must look like NAME=DIR" in bad.stderr
