"""What the page of errors quotes is what the code says."""

from __future__ import annotations

import ast
import inspect
import re

import pytest
from blocks import ROOT

from kogner import errors

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
NOT_MESSAGES = {"nan", "inf"}


def _messages() -> str:
    """All strings of the code, one a line; what an f-string fills in is a blank."""
    found = []
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else " " for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(" ".join(one.split()) for one in found)


def _quoted() -> list[str]:
    tables = PAGE.split("## It works, but")[0].split("## Models")[1]
    rows = re.findall(r"^\| (`.*?) \|", tables, re.MULTILINE)
    return [part.strip() for row in rows for one in re.findall(r"`([^`]+)`", row) for part in one.split("...")]


@pytest.fixture(scope="module")
def messages():
    return _messages()


@pytest.mark.parametrize("quoted", [one for one in _quoted() if one not in NOT_MESSAGES])
def test_each_message_is_one_of_the_code(quoted, messages):
    assert " ".join(quoted.split()) in messages


def test_every_kind_of_error_is_explained():
    kinds = [name for name, one in vars(errors).items() if inspect.isclass(one) and issubclass(one, errors.KognerError)]
    assert len(kinds) > 5
    for name in set(kinds) - {"KognerError"}:
        assert f"| `{name}` |" in PAGE
