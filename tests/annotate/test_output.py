from __future__ import annotations

import io
import json

from rich.console import Console

from kogner.annotate import output
from kogner.records import Document, Mention

AWKWARD = Document(
    "[/b]", "aspirin [/b] fever", (Mention(0, 12, "[red]drug", text="aspirin [/b]", entity="X:[bold]", score=0.5),)
)
HALF = Document("half \ud83d", "a \ud83d b", (Mention(0, 3, "drug", text="a \ud83d"),))


def shown(*documents: Document) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    output.table(documents, Console(file=stream, width=120))
    stream.flush()
    return stream.buffer.getvalue().decode()


def test_a_table_takes_brackets_as_they_are():
    title, _, rows = shown(AWKWARD).partition("\n")
    assert title.strip() == "[/b]: 1 entities"
    assert all(cell in rows for cell in ("aspirin [/b]", "[red]drug", "X:[bold]", "0.50"))


def test_half_a_character_can_be_written_in_every_form():
    assert "half \ufffd: 1 entities" in shown(HALF)
    page = "".join(output.to_html([HALF]))
    assert page.encode().count("\ufffd".encode()) == 2
    line = output.to_json(HALF)
    assert line.isascii()
    assert json.loads(line)["text"] == HALF.text


def test_json_keeps_other_characters_readable():
    assert "α" in output.to_json(Document("1", "α"))
