"""A real browser, the shipped model, and a small graph that tells of the texts in the tests."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from running import serving

from kogner.annotate.annotator import Annotator, GraphUse
from kogner.graph.rejections import Rejections
from kogner.graph.store import build
from kogner.records import Entity, Triple

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "models" / "kogner-mini"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
ENTITIES = (
    Entity("C:1", "Chemical", "Atorvastatin", ("atorvastatin calcium",), ("MESH:D000069059", "CHEBI:39548"),
           "A synthetic statin that lowers cholesterol in the blood by holding up its making in the liver."),
    Entity("C:2", "Chemical", "Statins", ("statin", "HMG-CoA reductase inhibitors"), ("MESH:D019161",),
           "Drugs that inhibit the enzyme which limits the making of cholesterol."),
    Entity("C:3", "Chemical", "Ezetimibe", (), ("MESH:D000069438",)),
    Entity("C:4", "Chemical", "Clarithromycin", (), ("MESH:D017291",), "A macrolide antibiotic."),
    Entity("C:5", "Chemical", "Metformin", (), ("MESH:D008687",)),
    Entity("C:6", "Chemical", "Evolocumab", ("AMG 145",), ()),
    Entity("C:7", "Chemical", "Cholesterol", ()),
    Entity("D:1", "Disease", "Hyperlipoproteinemia Type II", ("familial hypercholesterolemia",), ("MESH:D006938",),
           "An inherited disorder in which the blood holds much LDL cholesterol from birth."),
    Entity("D:2", "Disease", "Muscular Diseases", ("myopathy", "muscle disease"), ("MESH:D009135",),
           "Diseases of the muscles, inherited or acquired."),
    Entity("D:3", "Disease", "Rhabdomyolysis", (), ("MESH:D012206",),
           "Breakdown of muscle fibres, whose contents pass into the blood and may harm the kidneys."),
    Entity("D:4", "Disease", "Diabetes Mellitus, Type 2", ("type 2 diabetes mellitus",), ("MESH:D003924",)),
    Entity("D:5", "Disease", "Acute Kidney Injury", (), ("MESH:D058186",)),
    Entity("D:6", "Disease", "Coronary Artery Disease", (), ("MESH:D003324",)),
    Entity("D:7", "Disease", "Pneumonia", (), ("MESH:D011014",)),
    Entity("D:8", "Disease", "Myalgia", ("muscle pain",), ("MESH:D063806",)),
    Entity("D:9", "Disease", "Renal Insufficiency, Chronic", ("chronic kidney disease",), ("MESH:D051436",)),
    Entity("G:1", "Gene", "HMGCR", ("HMG-CoA reductase",), ("NCBIGene:3156",), "The enzyme that statins inhibit."),
    Entity("G:2", "Gene", "LDLR", (), ("NCBIGene:3949",)),
    Entity("G:3", "Gene", "APOB", (), ("NCBIGene:338",)),
    Entity("G:4", "Gene", "SLCO1B1", (), ("NCBIGene:10599",)),
    Entity("G:5", "Gene", "PCSK9", (), ("NCBIGene:255738",)),
    Entity("P:1", "Pathway", "Cholesterol biosynthesis"),
    Entity("A:1", "Anatomy", "Liver"),
    Entity("A:2", "Anatomy", "Skeletal muscle"),
)  # fmt: skip
TRIPLES = tuple(
    Triple(*one.split(" "))
    for one in (
        "C:1 is_a C:2", "C:1 treats D:1", "C:1 treats D:6", "C:1 inhibits G:1", "C:1 causes D:2", "C:1 causes D:3",
        "C:1 causes D:8", "C:1 interacts_with C:4", "C:1 interacts_with C:3", "C:1 acts_in A:1", "G:4 transports C:1",
        "C:1 lowers C:7", "C:2 inhibits G:1", "C:2 treats D:1", "C:2 causes D:2", "C:3 treats D:1", "C:4 treats D:7",
        "C:5 treats D:4", "C:6 inhibits G:5", "G:2 associated_with D:1", "G:3 associated_with D:1",
        "G:5 associated_with D:1", "D:3 is_a D:2", "D:3 causes D:5", "D:8 is_a D:2", "G:1 part_of P:1",
        "P:1 located_in A:1", "D:2 located_in A:2", "D:1 causes D:6", "G:4 associated_with D:2",
    )
)  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window: that of the system, else the one that Playwright installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright; run make test-page")
    found = os.environ.get("KOGNER_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with playwright.sync_playwright() as play:
        try:
            started = play.chromium.launch(executable_path=found, args=["--no-sandbox"] if root else [])
        except playwright.Error as error:
            if found is not None:
                raise
            pytest.skip(f"no Chromium: install one, or run playwright install chromium ({str(error).splitlines()[0]})")
        yield started
        started.close()


@pytest.fixture(scope="session")
def page_graph(tmp_path_factory):
    out = tmp_path_factory.mktemp("page-graph") / "graph"
    build(ENTITIES, TRIPLES, out, rejected=Rejections())
    return out


@pytest.fixture(scope="session")
def reading(page_graph):
    """The shipped model with the graph."""
    return Annotator.open(str(MODEL), GraphUse(str(page_graph)))


@pytest.fixture(scope="session")
def site(reading):
    """A server of both."""
    with serving(reading) as client:
        yield client


@pytest.fixture(scope="session")
def bare(reading):
    """A server of the model without a graph."""
    with serving(Annotator(reading.predictor)) as client:
        yield client


class Tab:
    """A tab on the page of a server, and all that it asked for and complained of."""

    def __init__(self, page, client):
        self.page, self.client = page, client
        self.origin = f"http://{client.host}:{client.port}"
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))

    def open(self, fragment="", ready=".chip"):
        self.page.goto(f"{self.origin}/{fragment}")
        self.page.wait_for_selector(ready)
        return self

    def annotate(self, text, labels=()):
        self.page.fill("#text", text)
        for label in labels:
            self.page.fill("#label", label)
            self.page.press("#label", "Enter")
        self.page.click("#annotate")
        self.page.wait_for_selector("#result:not([hidden])")
        return self

    def requests(self, path):
        return [url for url in self.asked if urlsplit(url).path.startswith(path)]

    def marks(self):
        """(text, type, score) of the entities that are marked, in their order."""
        return [tuple(one) for one in self.page.evaluate("""() => [...document.querySelectorAll("mark")].map((mark) => {
            const copy = mark.cloneNode(true);
            copy.querySelectorAll(".tag").forEach((tag) => tag.remove());
            const [type, score] = mark.getAttribute("aria-description").split(", score ");
            return [copy.textContent, type, Number(score)];
        })""")]  # fmt: skip

    def threshold(self, name, value):
        self.page.get_by_label(f"Threshold of {name}", exact=True).fill(str(value))
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def export(self, name, folder):
        self.page.click("#export")
        with self.page.expect_download() as waiting:
            self.page.get_by_role("menuitem", name=name).click()
        out = folder / waiting.value.suggested_filename
        waiting.value.save_as(out)
        return out


@pytest.fixture
def tab(browser):
    """A function that opens a tab on a server. After the test: nothing was asked elsewhere, nothing complained."""
    contexts, tabs = [], []

    def make(client, *, expect=(), size=(1280, 860), scheme="light", **options):
        width, height = size
        contexts.append(
            browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        )
        contexts[-1].set_default_timeout(90_000)
        tabs.append((Tab(contexts[-1].new_page(), client), expect))
        return tabs[-1][0]

    yield make
    for context in contexts:
        context.close()
    for one, expected in tabs:
        foreign = [url for url in one.asked if not url.startswith((f"{one.origin}/", "blob:", "data:"))]
        assert foreign == []
        assert [said for said in one.complaints if not any(part in said for part in expected)] == []


@pytest.fixture
def with_limits(reading):
    """A function that serves the same model with other limits or keys."""

    @contextmanager
    def make(limits=None, **more):
        with serving(reading, limits, **more) as client:
            yield client

    return make
