"""schemathesis: requests made from the OpenAPI document, right ones and wrong ones, and answers held against it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from running import serving

from kogner.annotate.annotator import Annotator, GraphUse
from kogner.serve.limits import Limits

KEY = "a-key-for-schemathesis"
# Small limits, which it then tests on both sides.
LIMITS = Limits(labels=6, label_characters=20, characters=300, documents=4, timeout=20)


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "page"), [((), False), ((KEY,), False), ((), True)])
def test_schemathesis_finds_nothing(model, graph, keys, page, tmp_path):
    pytest.importorskip("schemathesis")
    config = Path(__file__).with_name("schemathesis.toml")
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["--config-file", str(config), "run"]
    if page:
        (tmp_path / "index.html").write_text("<p>page</p>")
    with serving(Annotator.open(str(model), GraphUse(str(graph))), LIMITS, keys=keys, page=tmp_path) as client:
        options = ["--checks", "all", "--max-examples", "60", "--seed", "7", "--no-color", "--continue-on-failure"]
        options += ["--generation-database", "none", "--suppress-health-check", "too_slow,data_too_large"] + [
            f"--header=Authorization: Bearer {key}" for key in keys
        ]
        url = f"http://127.0.0.1:{client.port}/openapi.json"
        done = subprocess.run(
            [*command, url, *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert "/v1/annotate" in client.service.metrics.text().decode()
