"""The page in other conditions: by keys alone, read by axe, narrow, with long texts, and with a server that refuses."""

from __future__ import annotations

import json
import os
import time
from io import BytesIO
from pathlib import Path

import pytest

from kogner.data.formats.registry import FORMATS
from kogner.data.report import Report
from kogner.records import Document
from kogner.serve.limits import Limits

pytestmark = pytest.mark.slow
KEY = "a-key-of-more-than-16-letters"
PICTURES = os.environ.get("KOGNER_SCREENSHOTS")  # a folder, such as docs/images
MOST_BYTES = 150_000  # of a picture
TEXT = (
    "Atorvastatin lowers cholesterol. Rhabdomyolysis after clarithromycin; myopathy in familial hypercholesterolemia."
)
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}


def test_keys_alone_are_enough(tab, site):
    one = tab(site).open()
    keys, focused = one.page.keyboard, "[document.activeElement.id, document.activeElement.textContent]"
    keys.press("Tab")
    assert one.page.evaluate(focused)[1] == "Skip to the text"
    one.page.focus("#label")
    keys.type("cell")
    keys.press("Escape")
    assert one.page.locator("#suggestions").is_hidden()
    keys.press("Control+A")
    keys.press("Delete")
    keys.press("ArrowDown")
    assert one.page.locator("#suggestions [aria-selected=true]").count() == 1
    keys.press("Escape")
    one.page.focus("#text")
    keys.insert_text(TEXT)
    keys.press("Control+Enter")
    one.page.wait_for_selector("mark")
    marks = one.marks()
    one.page.focus("#share")
    keys.press("Tab")
    walked = []
    for key in ["ArrowRight"] * (len(marks) - 1) + ["ArrowRight", "Home", "End", "ArrowLeft"]:
        walked.append(
            one.marks()[one.page.evaluate("[...document.querySelectorAll('mark')].indexOf(document.activeElement)")][0]
        )
        assert one.page.locator("#tip").is_visible()
        keys.press(key)
    names = [text for text, _, _ in marks]
    assert walked == [*names, names[-1], names[0], names[-1]]
    keys.press("Home")
    keys.press("Enter")
    one.page.wait_for_selector("#panel .picture")
    for _ in range(40):
        keys.press("Tab")
        if one.page.evaluate("document.activeElement.getAttribute('class') ?? ''").startswith("node"):
            break
    label = one.page.evaluate("document.activeElement.getAttribute('aria-label')")
    keys.press("Enter")
    one.page.wait_for_function("(said) => said.includes(document.getElementById('panel-title').textContent)", arg=label)
    keys.press("Escape")
    assert one.page.locator("#panel").is_hidden()
    assert one.page.evaluate("document.activeElement.tagName") == "MARK"
    one.page.focus("#export")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    assert one.page.evaluate(focused)[1].startswith("PubTator")
    keys.press("Escape")
    assert one.page.evaluate(focused)[0] == "export"
    one.page.focus("#tab-text")
    keys.press("ArrowRight")
    assert one.page.locator("#table").is_visible()
    slider = one.page.get_by_label("Threshold of disease", exact=True)
    slider.focus()
    keys.press("End")
    one.page.wait_for_function(
        "() => ![...document.querySelectorAll('#table .type')].some((t) => t.textContent === 'disease')"
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(tab, site, scheme, size):
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe; run make test-page")
    one = tab(site, scheme=scheme, size=SIZES[size]).open()
    checked = []

    def check(state):
        one.page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")
        found = axe_module.Axe().run(one.page).response["violations"]
        told = [f"{state}: {each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]
        assert told == []
        checked.append(state)

    check("empty")
    one.page.fill("#label", "p")
    check("suggestions")
    one.page.fill("#label", "")
    one.page.keyboard.press("Escape")
    one.page.get_by_role("button", name="Try an example").click()
    one.page.wait_for_selector("mark")
    check("text")
    if one.page.locator("#thresholds").is_hidden():
        one.page.click("#thresholds-box summary")
    one.threshold("all labels", 0.08)
    assert one.page.locator("mark mark").count()
    one.page.locator("mark mark").first.hover()
    check("nested, with the tip")
    one.page.locator("mark", has_text="atorvastatin").first.click()
    one.page.wait_for_selector("#panel .picture")
    check("panel")
    one.page.keyboard.press("Escape")
    one.page.get_by_role("tab", name="Table").click()
    check("table")
    one.page.click("#export")
    check("menu")
    one.page.keyboard.press("Escape")
    one.page.click("#share")
    check("link")
    assert len(checked) == 8


def test_dark_and_light_by_the_system_and_by_the_switch(tab, site):
    one = tab(site, scheme="dark").open()
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    dark = one.page.evaluate(colour)
    switch = one.page.locator("#theme")
    assert switch.get_attribute("aria-label") == "Colours: as the system"
    switch.click()
    light = one.page.evaluate(colour)
    assert light != dark and switch.get_attribute("aria-label") == "Colours: light"
    one.page.reload()
    one.page.wait_for_selector(".chip")
    assert one.page.evaluate(colour) == light
    switch.click()
    assert one.page.evaluate(colour) == dark
    one.page.emulate_media(color_scheme="light")
    assert one.page.evaluate(colour) == dark
    switch.click()
    assert one.page.evaluate(colour) == light


@pytest.mark.parametrize("width", [320, 390, 768, 1100])
def test_nothing_runs_out_of_a_narrow_window(tab, site, width):
    one = tab(site, size=(width, 700)).open().annotate(TEXT + " " + "x" * 200)
    wide = "document.documentElement.scrollWidth"
    assert one.page.evaluate(wide) <= width
    one.page.locator("mark").first.click()
    one.page.wait_for_selector("#panel .picture")
    assert one.page.evaluate(wide) <= width
    inside = one.page.evaluate(
        "(() => { const p = document.querySelector('#panel'); return p.scrollWidth - p.clientWidth; })()"
    )
    assert inside <= 0


def test_a_server_with_much_to_do_is_asked_again(tab, site):
    one = tab(site, expect=("429",)).open()
    times = []

    def answer(route):
        times.append(time.monotonic())
        if len(times) > 1:
            return route.continue_()
        said = {"error": {"reason": "busy", "message": "more waits than can be done soon", "request_id": "r1"}}
        return route.fulfill(status=429, headers={"retry-after": "2"}, json=said)

    one.page.route("**/v1/annotate", answer)
    one.page.fill("#text", TEXT)
    one.page.click("#annotate")
    one.page.wait_for_selector("#notice:not([hidden])")
    said = one.page.inner_text("#notice")
    assert "has much to do" in said and "2 seconds" in said and "Ask now" in said
    one.page.wait_for_selector("mark")
    assert len(times) == 2 and 1.5 < times[1] - times[0] < 10
    assert one.page.locator("#notice").is_hidden()


def test_a_key_is_asked_for_and_kept_for_the_session(tab, with_limits):
    with with_limits(keys=(KEY,)) as client:
        one = tab(client, expect=("401",)).open(ready="#key")
        one.page.fill("#key", "another-key-that-is-wrong")
        one.page.keyboard.press("Enter")
        one.page.wait_for_selector("#notice:has-text('does not know this key')")
        one.page.fill("#key", KEY)
        one.page.get_by_role("button", name="Use it").click()
        one.page.wait_for_selector(".chip")
        one.annotate(TEXT)
        assert one.marks()
        assert one.page.evaluate("[JSON.stringify(sessionStorage).includes('letters'), localStorage.length]") == [
            True,
            0,
        ]
        one.page.reload()
        one.page.wait_for_selector(".chip")
        one.page.click("#share") if one.page.locator("#share").is_visible() else None
        assert KEY not in one.page.url
    assert len(one.requests("/v1/annotate")) == 1


def test_a_text_beyond_the_limit_is_split(tab, with_limits):
    with with_limits(Limits(characters=60)) as client:
        one = tab(client).open()
        one.page.fill("#text", TEXT)
        assert "of 60 characters" in one.page.inner_text("#size")
        one.page.click("#annotate")
        said = one.page.inner_text("#notice")
        assert f"A text may have 60 characters here, this one has {len(TEXT)}" in said
        assert one.requests("/v1/annotate") == []
        one.page.get_by_role("button", name="Split it into parts").click()
        one.page.wait_for_selector("mark")
        assert "in 2 documents" in one.page.inner_text("#status") or "in 3 documents" in one.page.inner_text("#status")


def test_what_the_server_refuses_is_said_in_its_words(tab, with_limits):
    with with_limits(Limits(labels=2)) as client:
        one = tab(client, expect=("413", "422")).open()
        one.page.fill("#text", TEXT)
        one.page.click("#annotate")
        one.page.wait_for_selector("#notice:not([hidden])")
        assert "3 labels" in one.page.inner_text("#notice") and "the limit is 2" in one.page.inner_text("#notice")
        one.page.get_by_role("button", name="Remove gene").click()
        one.page.get_by_role("button", name="Try again").click()
        one.page.wait_for_selector("mark")


def test_a_server_that_is_gone_is_said(tab, site):
    one = tab(site, expect=("ERR_FAILED",)).open()
    one.page.route("**/v1/annotate", lambda route: route.abort())
    one.page.fill("#text", TEXT)
    one.page.click("#annotate")
    one.page.wait_for_selector("#notice:has-text('does not answer')")
    one.page.unroute("**/v1/annotate")
    one.page.get_by_role("button", name="Try again").click()
    one.page.wait_for_selector("mark")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pdf", b"%PDF-1.4\x00", "is binary"),
        ("latin.txt", b"na\xefve", "is not UTF-8"),
        ("empty.txt", b" ", "holds no text"),
        ("a.json", b'[{"text": "a"}]', "each line must be an object"),
        ("a.gliner.json", b'[{"tokenized_text": ["a"], "ner": []}]', "which is not read here"),
        ("a.xml", b"<?xml version='1.0'?><collection><document>", "is not well-formed XML"),
        ("a.txt", b"1|t|A title\n1\t0\tx\n", "an annotation needs id"),
        ("a.jsonl", b'{"text": "a"}\n{"id": 1}', 'line 2, has no "text"'),
        ("b.jsonl", b'{"text": "a"}\n{', "line 2, is not JSON"),
        ("c.jsonl", b'{"text": "a", "passages": [{"start": 0, "end": 2}]}', "line 1, has passages that do not fit"),
    ],
)
def test_files_that_cannot_be_taken_are_said(tab, site, name, data, said):
    one = tab(site, expect=("the server responded with a status of 400",)).open()  # where the server reads them
    one.page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": data})
    one.page.wait_for_selector("#notice:not([hidden])")
    text = one.page.inner_text("#notice")
    assert name in text and said in text
    assert one.requests("/v1/annotate") == []


@pytest.mark.parametrize("form", ["pubtator", "bioc-xml", "bioc-json", "csv"])
def test_files_of_other_programs_are_read_by_the_server(tab, site, tmp_path, form):
    documents = [Document("7", TEXT), Document("8", f"{TEXT} Again.")]
    path = tmp_path / f"some{FORMATS[form].endings[0]}"
    if form == "csv":
        path.write_text("id,text\n" + "".join(f'{one.id},"{one.text}"\n' for one in documents))
    else:
        FORMATS[form].save(path, documents, report=Report())
    one = tab(site).open()
    one.page.set_input_files("#file", str(path))
    one.page.wait_for_selector("mark")
    assert "in 2 documents" in one.page.inner_text("#status")
    one.page.get_by_label("Document", exact=True).select_option(label="8")
    one.page.locator("#reader", has_text="Again.").wait_for()
    assert len(one.requests("/v1/documents")) == 1


def test_a_file_of_more_documents_than_a_request_has_comes_in_parts(tab, site):
    data = ("id,text\n" + "".join(f"n{number},{TEXT}\n" for number in range(300))).encode()
    one = tab(site).open()
    one.page.set_input_files("#file", {"name": "some.csv", "mimeType": "", "buffer": data})
    one.page.wait_for_selector("mark", timeout=60_000)
    assert "in 300 documents" in one.page.inner_text("#status")
    assert len(one.requests("/v1/documents")) == 2


def test_what_a_reader_leaves_out_is_said(tab, site):
    data = f"1|t|{TEXT}\n1|a|\n1\t0\t4\tnowhere\tx\t\n".encode()
    one = tab(site).open()
    one.page.set_input_files("#file", {"name": "some.pubtator", "mimeType": "", "buffer": data})
    one.page.wait_for_selector("#notice:not([hidden])")
    assert "some.pubtator: skipped 1" in one.page.inner_text("#notice")
    assert one.page.locator("mark").count() > 0


def test_text_cannot_become_markup(tab, site):
    odd = '<img src=x onerror=alert(1)> <script>alert(2)</script> atorvastatin & "myopathy"'
    one = tab(site).open().annotate(odd, ["<b>bold</b>"])
    assert one.page.locator("#reader img, #reader script, .chip b").count() == 0
    assert {text for text, _, _ in one.marks()} >= {"atorvastatin"}


def test_long_texts_stay_fluid(tab, site):
    """100,000 characters with 3,000 candidates, made up here so that the time is the page's alone."""
    words = "atorvastatin was given for familial hypercholesterolemia and caused no myopathy at all in them. "
    text = "\n".join("".join(words for _ in range(5)) for _ in range(204))[:99_900]
    entities, at = [], 0
    for number in range(3000):
        at = text.find("a", at + 30)
        if at < 0:
            break
        score = 0.1 + 0.89 * ((number * 7919) % 1000) / 1000
        kind = ("chemical", "disease", "gene")[number % 3]
        entities.append(
            {"start": at, "end": at + 3, "text": text[at : at + 3], "type": kind, "score": score, "ids": []}
        )
    one = tab(site).open()
    body = json.dumps({"documents": [{"id": "text", "entities": entities}], "thresholds": {}})
    one.page.route("**/v1/annotate", lambda route: route.fulfill(body=body, content_type="application/json"))
    one.annotate(text)
    assert one.page.locator("mark").count() > 1000
    times = one.page.evaluate("""async () => {
      const slider = document.querySelector("#thresholds input");
      const times = [];
      for (let step = 0; step < 20; step++) {
        slider.value = 0.1 + step * 0.04;
        const begun = performance.now();
        slider.dispatchEvent(new Event("input"));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        times.push(performance.now() - begun);
      }
      return times.sort((a, b) => a - b);
    }""")
    assert times[10] < 500, f"a step of the slider takes {times[10]:.0f} ms"
    one.page.get_by_label("Threshold of all labels").fill("0.1")
    one.page.get_by_role("tab", name="Table").click()
    assert one.page.locator("#table tbody tr").count() == 200
    one.page.get_by_role("button", name="Show more").click()
    assert one.page.locator("#table tbody tr").count() == 1200


@pytest.mark.skipif(not PICTURES, reason="KOGNER_SCREENSHOTS names no folder to write pictures to")
@pytest.mark.parametrize(("name", "size", "scheme"), [
    ("page-desktop", "desktop", "light"), ("page-desktop-dark", "desktop", "dark"), ("page-phone", "phone", "light"),
])  # fmt: skip
def test_pictures(tab, site, name, size, scheme):
    """Writes the pictures of the documentation."""
    image = pytest.importorskip("PIL.Image", reason="no Pillow")
    one = tab(site, size=SIZES[size], scheme=scheme).open()
    one.page.get_by_role("button", name="Try an example").click()
    one.page.wait_for_selector("mark")
    one.page.get_by_label("Types in the text").uncheck() if size == "phone" else None
    if size == "desktop":
        for label, value in (("chemical", 0.2), ("disease", 0.2), ("gene", 0.38)):
            one.threshold(label, value)
        one.page.locator("mark", has_text="Atorvastatin").first.click()
        one.page.wait_for_selector("#panel .picture")
        one.page.locator("#panel").evaluate("(panel) => panel.scrollTo(0, 0)")
    one.page.mouse.move(0, 0)
    one.page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")
    picture = image.open(BytesIO(one.page.screenshot())).convert("RGB").quantize(256, dither=image.Dither.NONE)
    out = Path(PICTURES) / f"{name}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(out, optimize=True)
    assert out.stat().st_size < MOST_BYTES
