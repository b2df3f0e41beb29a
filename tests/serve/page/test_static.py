"""The page's files: all there, of the right types, strict in what they may run, and of use without a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from kogner.data.formats.bioc import read_xml
from kogner.data.report import Report
from kogner.serve.app import PAGE

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = sorted(file.relative_to(PAGE).as_posix() for file in PAGE.rglob("*") if file.is_file())
SCRIPTS = [name for name in FILES if name.endswith(".js")]
MADE = {"panel-title", "link-title"}  # ids of elements that scripts make
NAMESPACES = ("http://www.w3.org/2000/svg",)  # names, not addresses


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def elements():
    parser = Elements()
    parser.feed((PAGE / "index.html").read_text(encoding="utf-8"))
    return parser.found


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_served_with_its_type_and_the_strict_policy(client, name):
    answer = client.get(f"/{name}")
    assert answer.status == 200
    assert answer.headers["content-type"].partition(";")[0] == TYPES["." + name.rpartition(".")[2]]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.body == (PAGE / name).read_bytes()


def test_the_page_is_at_the_root(client):
    assert client.get("/").body == (PAGE / "index.html").read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_nothing_refers_to_elsewhere(name):
    text = (PAGE / name).read_text(encoding="utf-8")
    found = [one for one in re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.\w+[^\s\"'`)]*", text) if one not in NAMESPACES]
    assert found == []
    assert "@import" not in text


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_or_code_of_text(name):
    text = (PAGE / name).read_text(encoding="utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"):
        assert word not in text


def test_no_script_or_style_stands_in_the_page(elements):
    for tag, attributes in elements:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name == "style" or name.startswith("on")], (tag, attributes)


def test_all_that_the_page_names_is_there(elements):
    named = [of.get("src") or of["href"] for tag, of in elements if tag in ("script", "link")]
    for name in SCRIPTS:
        text = (PAGE / name).read_text(encoding="utf-8")
        named += re.findall(r'(?:from|import) "\./([^"]+)"', text)
    assert set(named) <= set(FILES)
    assert set(SCRIPTS) <= set(named), "a script that nothing loads"
    ids = [of["id"] for _, of in elements if "id" in of]
    assert len(ids) == len(set(ids))
    for tag, of in elements:
        for attribute in ("for", "aria-controls", "aria-labelledby", "aria-describedby"):
            assert of.get(attribute) is None or of[attribute] in {*ids, *MADE}, (tag, of)
    for name in SCRIPTS:
        used = re.findall(r'(?<!\.)\bget\("([^"]+)"\)', (PAGE / name).read_text(encoding="utf-8"))
        assert set(used) <= {*ids, *MADE}, name


def test_an_api_key_is_kept_for_the_session_alone():
    stored = {name: (PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS}
    assert [name for name, text in stored.items() if "localStorage" in text] == ["theme.js"]
    assert [name for name, text in stored.items() if "sessionStorage" in text] == ["api.js"]


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the page's modules")
def test_modules_count_as_python_does(tmp_path):
    """Places and exports of texts with pairs, combining marks and what formats cannot hold, without a browser."""
    texts = ["plain", "a🤒b", "🤒🤒", "n\u0303 e\u0301", "lone \ud800 half", "\ud83e", "x" * 70_000 + "🧬"]
    script = tmp_path / "run.mjs"
    script.write_text(
        f"""import {{ codePoints, inParts, unitsOf, wellFormed }} from {json.dumps((PAGE / "text.js").as_uri())};
        const texts = {json.dumps(texts)};
        console.log(JSON.stringify(texts.map((raw) => {{
          const text = wellFormed(raw);
          const units = unitsOf(text);
          const points = codePoints(text);
          const long = `${{text}} and more. `.repeat(3);
          const first = [...text].slice(0, 9).map((_, at) => text.slice(units(at), units(at + 1)));
          return [points, units(points) === text.length, first, inParts(long, 20).join("") === long];
        }})));"""
    )
    # Modules of the page are .js; without a package.json beside them node must be told.
    command = ["node", "--experimental-default-type=module", "--no-warnings", str(script)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for raw, (points, whole, first, joined) in zip(texts, found, strict=True):
        text = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in raw)
        assert (points, whole, joined) == (len(text), True, True)
        assert first == list(text[:9])


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the page's modules")
def test_bioc_of_the_page_is_read_as_the_same_text(tmp_path):
    texts = [
        ("Title\nAbstract here.\n\n", [(0, 5), (6, 20)]), ("Alpha beta gamma delta", [(0, 16), (6, 22)]),
        (" \tTi 🤒.\nAb.\u2003", [(2, 7), (8, 11)]),
        ("a   b\n\n\nc d\n\ne", [(0, 1), (4, 5), (8, 9), (10, 11), (13, 14)]),
        ("abc", []), ("abc", [(1, 1), (0, 3)]), ("ab cd", [(3, 5), (0, 2)]),
    ]  # fmt: skip
    documents = [
        {"id": str(number), "text": text, "entities": [],
         "passages": [{"start": start, "end": end, "infons": {"type": "p"}} for start, end in places]}
        for number, (text, places) in enumerate(texts)
    ]  # fmt: skip
    script = tmp_path / "run.mjs"
    script.write_text(
        f"""import {{ bioc }} from {json.dumps((PAGE / "export.js").as_uri())};
        process.stdout.write(bioc({json.dumps(documents)}));"""
    )
    command = ["node", "--experimental-default-type=module", "--no-warnings", str(script)]
    (tmp_path / "a.xml").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    report = Report()
    found = list(read_xml(tmp_path / "a.xml", report=report))
    assert [one.text for one in found] == [text for text, _ in texts] and not report.repaired


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the page's modules")
def test_parts_are_within_the_limit_and_types_have_hues_that_no_label_has(tmp_path):
    texts = ["Words and 🧬 more. " * 40, "🤒" * 95, "x" * 100, "two\n\nparts " * 30, "short", " "]
    types = ["Disease", "Gene", "Pathway", "BiologicalProcess"]
    labels = [{"name": name, "colour": colour} for colour, name in enumerate(("disease", "chemical", "cell"))]
    script = tmp_path / "run.mjs"
    script.write_text(
        f"""import {{ inParts }} from {json.dumps((PAGE / "text.js").as_uri())};
        import {{ typeColour }} from {json.dumps((PAGE / "picture.js").as_uri())};
        import {{ state }} from {json.dumps((PAGE / "store.js").as_uri())};
        state.labels = {json.dumps(labels)};
        const parts = {json.dumps(texts)}.map((text) => inParts(text, 30));
        console.log(JSON.stringify([parts, {json.dumps(types)}.map(typeColour)]));"""
    )
    command = ["node", "--experimental-default-type=module", "--no-warnings", str(script)]
    parts, hues = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert ["".join(one) for one in parts] == [*texts[:-1], ""]
    assert all(len(part) <= 30 for one in parts for part in one)
    assert [len(one) for one in parts[1:3]] == [4, 4] and parts[4] == ["short"]
    assert hues[0].split()[1] == "k0"
    assert not {hue.split()[1] for hue in hues[1:]} & {"k0", "k1", "k2"}
