"""What people do on the page, in a real browser: annotate, filter, look an entity up, keep and share what was found."""

from __future__ import annotations

import csv
import itertools
import json
import random
import re
from base64 import urlsafe_b64encode

import pytest

from kogner.annotate.agreement import settled
from kogner.data.formats import bioc, jsonl, pubtator
from kogner.data.formats.registry import FORMATS
from kogner.data.report import Report
from kogner.records import Document, Passage
from kogner.student.decode import Candidate, decode

pytestmark = pytest.mark.slow

TEXT = (
    "Atorvastatin and myopathy in familial hypercholesterolemia\n"
    "Statins inhibit HMG-CoA reductase. One patient with rhabdomyolysis had received clarithromycin for pneumonia. "
    "A variant of SLCO1B1 raised the risk of statin-induced myopathy.\n\n"
    "PCSK9 inhibitors such as evolocumab were given in coronary artery disease."
)
ODD = (
    "\U0001f912 Fever \U0001f9ec\U0001f9ec after atorvastatin; nai\u0308ve\u0301 patients \U0001f469\u200d\u2695\ufe0f "
    'with <myopathy> & "rhabdomyolysis".\r\nA second\tline: \U0001d6fc-thalassemia, then clarithromycin.'
)


def picked(document) -> list[tuple]:
    """What the server says of entities, as exported files have it."""
    return [(one["start"], one["end"], one["text"], one["type"]) for one in document["entities"]]


def kept(document) -> list[tuple]:
    return [(one.start, one.end, one.text, one.type) for one in document.mentions]


def test_a_pasted_text_is_annotated_as_the_server_does_it(tab, site):
    one = tab(site).open().annotate(TEXT)
    (document,) = site.annotate({"text": TEXT, "labels": ["chemical", "disease", "gene"], "nested": True}).json[
        "documents"
    ]
    assert [(text, kind) for text, kind, _ in one.marks()] == [(e["text"], e["type"]) for e in document["entities"]]
    assert len(document["entities"]) > 8
    assert one.page.inner_text("#status").startswith(f"{len(document['entities'])} entities of 3 types")
    chips = [chip.inner_text().split() for chip in one.page.locator(".chip").all()]
    assert chips == [
        [kind, str(sum(e["type"] == kind for e in document["entities"]))] for kind in ("chemical", "disease", "gene")
    ]


@pytest.mark.parametrize("nested", [True, False])
def test_thresholds_work_at_once_and_as_those_of_a_request(tab, site, nested, tmp_path):
    one = tab(site).open().annotate(TEXT)
    asked = len(one.requests("/v1/annotate"))
    if not nested:
        one.page.get_by_label("Entities inside entities").uncheck()
    for base, own in ((0.1, {}), (0.3, {"disease": 0.9}), (0.05, {"gene": 0.6, "chemical": 0.95})):
        one.threshold("all labels", base)
        for label, value in own.items():
            one.threshold(label, value)
        wanted = {"text": TEXT, "labels": ["chemical", "disease", "gene"], "threshold": base, "nested": nested}
        owns = {name: float(one.page.get_by_label(f"Threshold of {name}", exact=True).input_value())
                for name in wanted["labels"]}  # fmt: skip
        (document,) = site.annotate(wanted | {"thresholds": owns}).json["documents"]
        (found,) = jsonl.read(one.export("JSON lines", tmp_path), report=Report())
        assert kept(found) == picked(document)
    assert len(one.requests("/v1/annotate")) == asked, "a threshold needed a request"
    one.page.get_by_label("All as fitted for the model").click()
    (document,) = site.annotate({"text": TEXT, "labels": ["chemical", "disease", "gene"], "nested": nested}).json[
        "documents"
    ]
    (found,) = jsonl.read(one.export("JSON lines", tmp_path), report=Report())
    assert kept(found) == picked(document)


def test_places_of_a_text_agree_as_the_server_has_it(tab, site):
    draw = random.Random(0)
    words = ["zinc", "Zinc", "AS", "as", "β-zinc", "(a+b)", "oxide", "of", "été", "zinc-oxide"]
    cases, wanted = [], []
    for _ in range(60):
        text = " ".join(draw.choices(words, k=30)) + " 𝒵"
        spans = sorted({(match.start(), match.end()) for match in re.finditer(r"\S+", text)})
        spans += [(a[0], b[1]) for a, b in itertools.pairwise(spans) if draw.random() < 0.3]
        every = [Candidate(*span, draw.randrange(2), round(draw.random(), 3)) for span in spans]
        thresholds, shares = [0.5, 0.6], [draw.choice([0, 0.25, 0.5]) for _ in range(2)]
        chosen = decode([one for one in every if one.score >= thresholds[one.type]])
        found = settled(text, chosen, every, thresholds=thresholds, weights=shares)
        wanted.append([(one.start, one.end, one.type, pytest.approx(one.score)) for one in found])
        sides = [[{"start": one.start, "end": one.end, "from": one.start, "to": one.end, "type": one.type,
                   "score": one.score} for one in some] for some in (chosen, every)]  # fmt: skip
        cases.append([text, *sides, thresholds, shares])
    settle = """async (cases) => {
      const { settle } = await import("./agree.js");
      const map = (numbers) => new Map(numbers.entries());
      return cases.map(([text, chosen, every, least, shares]) =>
        settle(text, chosen, every, map(least), map(shares)).map((o) => [o.start, o.end, o.type, o.score]));
    }"""
    found = tab(site).open().page.evaluate(settle, cases)
    assert [[tuple(one) for one in some] for some in found] == wanted
    assert sum(map(len, wanted)) > 500


def test_a_label_is_added_and_removed(tab, site):
    one = tab(site).open().annotate(TEXT)
    before = len(one.requests("/v1/annotate"))
    one.page.fill("#label", "prote")
    assert one.page.get_by_role("option").all_inner_texts()[0].startswith("prote")
    one.page.fill("#label", "protein")
    one.page.press("#label", "Enter")
    one.page.wait_for_selector('.chip:has-text("protein") .count')
    assert len(one.requests("/v1/annotate")) == before + 1
    one.threshold("all labels", 0.05)
    assert "protein" in {kind for _, kind, _ in one.marks()}
    one.page.get_by_role("button", name="Remove protein").click()
    assert "protein" not in {kind for _, kind, _ in one.marks()}
    assert one.page.locator(".chip").count() == 3
    one.page.click("#label")
    offered = one.page.get_by_role("option").all_inner_texts()
    assert any("pathway" in text and "1 entity of the graph" in text for text in offered), offered
    one.page.get_by_role("option", name="pathway").click()
    one.page.wait_for_selector('.chip:has-text("pathway") .count')
    assert len(one.requests("/v1/annotate")) == before + 2
    one.page.fill("#label", "pathway")
    one.page.press("#label", "Enter")
    assert one.page.locator(".chip").count() == 4, "the same label twice"


def test_nested_entities_lie_in_each_other(tab, site):
    one = tab(site).open().annotate(TEXT)
    one.threshold("all labels", 0.05)
    inner = one.page.locator("#reader mark mark").first
    outer = one.page.locator("#reader mark:has(mark)").first
    low = inner.evaluate("(m) => m.getClientRects()[0].bottom")
    lines = outer.evaluate("(m) => [...m.getClientRects()].map((r) => [r.top, r.bottom])")  # it may be broken
    high = next(bottom for top, bottom in lines if top <= low <= bottom + 3)
    assert high - low >= 3, "the two lines lie on each other"
    inner.hover()
    rows = one.page.locator("#tip .row")
    assert rows.count() == 2 and "inside" in rows.nth(1).inner_text()
    assert one.page.locator("#reader").evaluate("(r) => getSelection().selectAllChildren(r) ?? String(getSelection())")
    one.page.get_by_label("Entities inside entities").uncheck()
    assert one.page.locator("#reader mark mark").count() == 0


def test_an_entity_its_neighbour_and_back(tab, site):
    one = tab(site).open().annotate(TEXT)
    one.page.locator("mark", has_text="Atorvastatin").first.click()
    panel = one.page.locator("#panel")
    one.page.wait_for_selector("#panel .picture")
    said = panel.inner_text()
    for part in (
        "Atorvastatin",
        "C:1",
        "A synthetic statin",
        "atorvastatin calcium",
        "MESH:D000069059",
        "Found as",
        "0–12",
    ):
        assert part in said, part
    names = panel.locator(".node").evaluate_all("(nodes) => nodes.map((node) => node.getAttribute('aria-label'))")
    assert "causes Rhabdomyolysis, Disease" in names and "SLCO1B1, Gene, transports this" in names
    assert len(names) == 12
    panel.get_by_role("button", name="causes Rhabdomyolysis").click()
    one.page.wait_for_selector("#panel-title:has-text('Rhabdomyolysis')")
    one.page.wait_for_selector("#panel .picture")
    assert "Breakdown of muscle fibres" in panel.inner_text()
    assert one.page.evaluate("document.activeElement.id") == "panel-title"
    panel.get_by_role("button", name="Back").click()
    one.page.wait_for_selector("#panel-title:has-text('Atorvastatin')")
    assert panel.get_by_role("button", name="Back").count() == 0
    one.page.keyboard.press("Escape")
    assert panel.is_hidden()
    assert one.page.evaluate("document.activeElement.textContent").startswith("Atorvastatin")


def test_without_a_graph_the_panel_says_so(tab, bare):
    one = tab(bare).open().annotate(TEXT)
    one.page.locator("mark", has_text="Atorvastatin").first.click()
    assert "has no graph" in one.page.inner_text("#panel")
    assert one.requests("/v1/entities") == []


def test_the_table_is_sorted_searched_and_opens_an_entity(tab, site):
    one = tab(site).open().annotate(TEXT)
    marked = one.marks()
    one.page.get_by_role("tab", name="Table").click()
    cell = "#table tbody tr {}"
    assert one.page.locator(cell.format("th")).all_inner_texts() == [text for text, _, _ in marked]
    one.page.get_by_role("button", name="Score").click()
    scores = [float(text) for text in one.page.locator(cell.format("td:nth-of-type(2)")).all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    assert one.page.locator("th[aria-sort=descending]").inner_text() == "Score"
    one.page.get_by_role("button", name="Score").click()
    assert one.page.locator("th[aria-sort=ascending]").inner_text() == "Score"
    one.page.get_by_label("Search the entities").fill("gene")
    assert set(one.page.locator(cell.format("td:nth-of-type(1)")).all_inner_texts()) == {"gene"}
    one.page.get_by_label("Search the entities").fill("")
    one.page.locator("#table").get_by_role("button", name="pneumonia").click()
    one.page.wait_for_selector("#panel-title:has-text('Pneumonia')")


@pytest.mark.parametrize("text", [TEXT, ODD, "\n\n " + TEXT], ids=["plain", "odd", "blank lines first"])
def test_files_are_read_back_as_they_were_found(tab, site, tmp_path, text):
    one = tab(site).open()
    one.page.set_input_files("#file", {"name": "a text.txt", "mimeType": "text/plain", "buffer": text.encode()})
    one.page.wait_for_selector("mark")
    one.threshold("all labels", 0.2)
    (expected,) = site.annotate(
        {"text": text, "labels": ["chemical", "disease", "gene"], "threshold": 0.2, "nested": True}
    ).json["documents"]
    wanted = picked(expected)
    ids = [one["ids"][0]["id"] if one["ids"] else None for one in expected["entities"]]
    assert len(wanted) >= 4 and any(ids)
    assert all(text[start:end] == inside for start, end, inside, _ in wanted)

    report = Report()
    (document,) = jsonl.read(one.export("JSON lines", tmp_path), report=report)
    assert (document.id, document.text, kept(document)) == ("a text.txt", text, wanted)
    assert [mention.entity for mention in document.mentions] == ids
    assert [mention.score for mention in document.mentions] == [e["score"] for e in expected["entities"]]

    blanks = str.maketrans("\r\n\t", "   ")
    (document,) = pubtator.read(one.export("PubTator", tmp_path), report=report)
    assert document.text == text.translate(blanks)
    assert kept(document) == [(start, end, inside.translate(blanks), kind) for start, end, inside, kind in wanted]
    assert [mention.ids for mention in document.mentions] == [(one,) if one else () for one in ids]

    (document,) = bioc.read_xml(one.export("BioC XML", tmp_path), report=report)
    assert document.text == text.replace("\r", " ")
    assert kept(document) == [(start, end, inside.replace("\r", " "), kind) for start, end, inside, kind in wanted]
    assert [mention.ids for mention in document.mentions] == [(one,) if one else () for one in ids]
    assert not report.skipped and not report.repaired, report

    with one.export("CSV", tmp_path).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(int(row["start"]), int(row["end"]), row["text"], row["type"]) for row in rows] == wanted
    assert [row["id"] or None for row in rows] == ids


TITLE, ABSTRACT = "Atorvastatin and myopathy.", "Rhabdomyolysis \U0001f912 after clarithromycin for pneumonia."
PARTS = (Passage(0, 26, (("type", "title"),)), Passage(27, 27 + len(ABSTRACT), (("type", "abstract"),)))


@pytest.mark.parametrize("form", ["pubtator", "bioc-xml", "jsonl"])
def test_title_and_abstract_come_back_from_files_and_links(tab, site, tmp_path, form):
    given = Document("7", f"{TITLE} {ABSTRACT}", passages=PARTS)
    path = tmp_path / f"given{FORMATS[form].endings[0]}"
    FORMATS[form].save(path, [given], report=Report())
    one = tab(site).open()
    one.page.set_input_files("#file", str(path))
    one.page.wait_for_selector("mark")
    one.page.click("#share")
    link = one.page.get_by_label("Link", exact=True).input_value()
    one.page.get_by_role("button", name="Close").click()
    for opened in (one, tab(site).open("#" + link.partition("#")[2], "mark")):
        written = opened.export("PubTator", tmp_path).read_text(encoding="utf-8")
        assert written.startswith(f"7|t|{TITLE}\n7|a|{ABSTRACT}\n7\t0\t12\tAtorvastatin\t")
        report = Report()
        (document,) = bioc.read_xml(opened.export("BioC XML", tmp_path), report=report)
        assert (document.text, document.passages) == (given.text, PARTS) and not report.repaired
        (document,) = jsonl.read(opened.export("JSON lines", tmp_path), report=report)
        assert (document.text, document.passages) == (given.text, PARTS)
        assert len(document.mentions) > 3


def test_an_edited_text_has_no_parts_left(tab, site, tmp_path):
    path = tmp_path / "given.pubtator"
    path.write_text(f"7|t|{TITLE}\n7|a|{ABSTRACT}\n\n", encoding="utf-8")
    one = tab(site).open()
    one.page.set_input_files("#file", str(path))
    one.page.wait_for_selector("mark")
    one.page.click("#edit")
    one.annotate(f"{TITLE} Something else.")
    (document,) = jsonl.read(one.export("JSON lines", tmp_path), report=Report())
    assert (document.text, document.passages) == (f"{TITLE} Something else.", ())


def test_text_outside_of_parts_is_written_too(tab, site, tmp_path):
    parts = [{"start": 27, "end": 41, "infons": {"type": "abstract"}}, {"start": 0, "end": 26}]
    path = tmp_path / "given.jsonl"
    path.write_text(json.dumps({"id": "7", "text": f"{TITLE} {ABSTRACT}", "passages": parts}), encoding="utf-8")
    one = tab(site).open()
    one.page.set_input_files("#file", str(path))
    one.page.wait_for_selector("mark")
    (document,) = bioc.read_xml(one.export("BioC XML", tmp_path), report=Report())
    assert document.text == f"{TITLE} {ABSTRACT}"
    assert [(part.start, part.end) for part in document.passages] == [(0, 26), (27, 41), (41, len(document.text))]
    assert "clarithromycin" in {mention.text for mention in document.mentions}


def test_marks_stand_where_the_entities_are(tab, site):
    """Also behind characters of two units and marks that combine."""
    one = tab(site).open().annotate(ODD)
    (expected,) = site.annotate(
        {"text": ODD.replace("\r\n", "\n"), "labels": ["chemical", "disease", "gene"], "nested": True}
    ).json["documents"]
    assert [text for text, _, _ in one.marks()] == [e["text"] for e in expected["entities"]]
    assert {"atorvastatin", "myopathy", "rhabdomyolysis", "clarithromycin"} <= {text for text, _, _ in one.marks()}
    tags_off = "(r) => { r.classList.remove('tagged'); return r.innerText; }"
    assert one.page.locator("#reader").evaluate(tags_off) == ODD.replace("\r\n", "\n")


def test_a_link_opens_the_same_state_elsewhere(tab, site):
    one = tab(site).open().annotate(ODD, ["symptom"])
    one.threshold("all labels", 0.15)
    one.threshold("disease", 0.6)
    one.page.get_by_label("Entities inside entities").uncheck()
    one.page.click("#share")
    link = one.page.get_by_label("Link", exact=True).input_value()
    assert "#s=" in link and "atorvastatin" not in link
    other = tab(site).open("#" + link.partition("#")[2], "mark")
    assert other.marks() == one.marks()
    chips = "[...document.querySelectorAll('.chip')].map((chip) => [chip.className, chip.textContent])"
    assert other.page.evaluate(chips) == one.page.evaluate(chips)
    value = other.page.get_by_label("Threshold of disease", exact=True).input_value()
    assert (value, other.page.get_by_label("Entities inside entities").is_checked()) == ("0.6", False)
    assert not any("#" in url for url in other.asked[1:])


def test_a_text_too_long_for_a_link_is_said(tab, site):
    words = " ".join(f"w{number * 7919 % 99991:x}" for number in range(6000))
    one = tab(site).open()
    one.page.fill("#text", words)
    one.page.route("**/v1/annotate", lambda route: route.fulfill(
        json={"documents": [{"id": "text", "entities": []}], "thresholds": {}}))  # fmt: skip
    one.page.click("#annotate")
    one.page.wait_for_selector("#result:not([hidden])")
    one.page.click("#share")
    one.page.wait_for_selector("dialog[open]")
    said = one.page.locator("dialog").inner_text()
    assert "Too long for a link" in said and "16,000" in said
    one.page.get_by_role("button", name="Close").click()
    assert one.page.evaluate("location.hash") == ""


PAST = {"documents": [["7", "fever", [{"start": 0, "end": 6, "infons": {}}]]], "labels": [], "own": []}


@pytest.mark.parametrize(
    "fragment", ["s=AAAA", "p=" + urlsafe_b64encode(json.dumps(PAST).encode()).decode().strip("=")]
)
def test_a_damaged_link_is_said(tab, site, fragment):
    one = tab(site).open(f"#{fragment}")
    assert "The link is damaged." in one.page.inner_text("#notice")


def test_json_lines_are_dropped_as_documents(tab, site, tmp_path):
    lines = "\n".join(json.dumps({"id": f"d{n}", "text": f"{TEXT} {n}"}) for n in range(3))
    one = tab(site).open()
    one.page.evaluate(
        """(text) => {
          const data = new DataTransfer();
          data.items.add(new File([text], "notes.jsonl"));
          for (const kind of ["dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        lines,
    )
    one.page.wait_for_selector("mark")
    assert "in 3 documents" in one.page.inner_text("#status")
    one.page.get_by_label("Document", exact=True).select_option(label="d2")
    assert one.page.locator("#reader").inner_text().rstrip().endswith("2")
    one.page.get_by_role("button", name="Document before").click()
    assert one.page.locator("#documents .of").inner_text() == "2 of 3"
    documents = list(jsonl.read(one.export("JSON lines", tmp_path), report=Report()))
    assert [document.id for document in documents] == ["d0", "d1", "d2"]
    assert all(len(document.mentions) > 8 for document in documents)
    again = pubtator.read(one.export("PubTator", tmp_path), report=Report())
    assert [len(document.mentions) for document in again] == [len(document.mentions) for document in documents]
