from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kogner import cli
from kogner.cli import COMMANDS


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_kogner_loads_nothing_heavy():
    heavy = "{'torch', 'pyarrow', 'transformers', 'numpy'}"
    assert python(f"import sys, kogner; print({heavy} & set(sys.modules))") == "set()"


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom kogner.cli import main\n"
        "try:\n    main(['annotate', '--help'])\nexcept SystemExit:\n    print({'torch', 'pyarrow'} & set(sys.modules))"
    )
    assert python(code).endswith("set()")


def test_public_names_resolve():
    import kogner

    assert all(getattr(kogner, name) is not None for name in kogner.__all__)
    with pytest.raises(AttributeError):
        _ = kogner.nothing


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    done = subprocess.run(
        [sys.executable, "-m", "kogner.cli", name, "--help"], capture_output=True, text=True, check=True
    )
    text = done.stdout
    if "Commands:" in text:
        names = [line.split()[0] for line in text.split("Commands:")[1].splitlines() if line.startswith("  ")]
        for sub in (n for n in names if n.isalpha()):
            done = subprocess.run(
                [sys.executable, "-m", "kogner.cli", name, sub, "--help"], capture_output=True, text=True, check=True
            )
            assert "Example" in done.stdout, f"{name} {sub}"
    else:
        assert "Example" in text


def test_errors_have_no_traceback_unless_asked():
    command = [sys.executable, "-m", "kogner.cli", "graph", "info", "nowhere"]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert plain.returncode == 2
    assert "Traceback" not in plain.stderr
    debug = subprocess.run([*command, "--debug"], capture_output=True, text=True, check=False)
    assert debug.returncode == 2
    assert "Traceback" in debug.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/out/student"), "/out/student: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("no such model"), "no such model"),
    ],
)
def test_what_the_system_refuses_is_one_message(error, message, monkeypatch, capsys):
    def refuse(**_):
        raise error

    monkeypatch.setattr(cli.cli, "main", refuse)
    with pytest.raises(SystemExit) as stop:
        cli.main(["graph"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"kogner: error: {message}\n"


def test_a_reader_that_goes_away_is_no_error(monkeypatch):
    class Stream:
        def close(self) -> None:
            self.closed = True

    def gone(**_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(cli.cli, "main", gone)
    monkeypatch.setattr(cli.sys, "stderr", Stream())
    with pytest.raises(SystemExit) as stop:
        cli.main(["graph"])
    assert stop.value.code == 141


def test_results_are_utf8_whatever_the_locale():
    code = (
        "import click, sys; from kogner import cli\n"
        "command = click.Command('x', callback=lambda: click.echo('TNF-\u03b2'))\n"
        "cli.cli = command; cli.main([])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode("utf-8").strip() == "TNF-\u03b2"


def test_halves_of_surrogate_pairs_are_shown_and_end_nothing(tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text('{"id": "\\ud800", "text": "a"}\n{"id": "\\ud800", "text": "a"}\n', encoding="utf-8")
    command = [sys.executable, "-m", "kogner.cli", "convert", str(source), str(tmp_path / "b.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "document \\ud800" in done.stderr
    command[-2] = str(tmp_path / "caf\udce9.jsonl")  # a byte that is no UTF-8, as Python holds it in a name
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "does not exist" in done.stderr and "Traceback" not in done.stderr
