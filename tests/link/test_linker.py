"""Linking: what a name, a short form, a part of a name, a vocabulary and the rest of a document decide."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from kogner import artifacts
from kogner.annotate import output
from kogner.api import FoundEntity
from kogner.cli import cli
from kogner.data.formats import jsonl, pubtator
from kogner.data.report import Report
from kogner.errors import ConfigError
from kogner.graph.rejections import Rejections
from kogner.graph.store import GraphStore, build
from kogner.link.aliases import Aliases
from kogner.link.candidates import conjuncts
from kogner.link.linker import EntityLinker, LinkSettings
from kogner.link.shortforms import expanded, short_forms
from kogner.records import Document, Entity, Mention, Triple
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo

ENTITIES = (
    Entity("M:1", "Disease", "Breast Neoplasms", ("Breast Tumor",), ("MESH:D1",)),
    Entity("M:2", "Disease", "Ovarian Neoplasms", ("ovarian cancer",), ("MESH:D2",)),
    Entity("O:1", "Disease", "breast cancer", ("breast carcinoma",)),
    Entity("M:3", "Disease", "Neoplasms", ("cancer",), ("MESH:D3",)),
    Entity("M:4", "Disease", "Hypertension", (), ("MESH:D4", "OMIM:4")),
    Entity("M:5", "Disease", "Cold", ("catarrh",), ("MESH:D5",)),
    Entity("M:6", "Phenotype", "Cold", (), ("OMIM:6",)),
    Entity("C:1", "Chemical", "Doxorubicin", (), ("MESH:D7",)),
    Entity("C:2", "Chemical", "Cold", (), ("MESH:D8",)),
    Entity("C:3", "Chemical", "Diethylnitrosamine", (), ("MESH:D9",)),
    Entity("G:1", "Gene", "CLD1"),
)
TRIPLES = (Triple("O:1", "is_a", "M:1"), Triple("M:1", "is_a", "M:3"), Triple("M:2", "is_a", "M:3"),
           Triple("G:1", "causes", "M:6"), Triple("O:1", "is_a", "M:4"), Triple("C:1", "treats", "M:5"),
           Triple("C:3", "causes", "M:5"))  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("link") / "graph"
    build(ENTITIES, TRIPLES, path, rejected=Rejections())
    return GraphStore.open(path)


def document(text, *mentions):
    """mentions: (text, type), each looked for behind the one before."""
    found, at = [], 0
    for name, kind in mentions:
        at = text.index(name, at)
        found.append(Mention(at, at + len(name), kind, name))
        at += len(name)
    return Document("d", text, tuple(found))


def ids(linker, *documents):
    return [one.entity for linked in linker.link_documents(documents) for one in linked.mentions]


def test_a_name_and_its_variants(store):
    linker = EntityLinker(store)
    text = "breast cancers, BREAST TUMORS and Neoplasms of hypertensive patients"
    names = [("breast cancers", "disease"), ("BREAST TUMORS", "disease"), ("Neoplasms", "disease")]
    assert ids(linker, document(text, *names)) == ["O:1", "M:1", "M:3"]
    (near, *_), *_ = linker.links([document(text, ("hypertensive", "disease"))])[0]
    assert (near.id, near.how, near.found) == ("M:4", "near", "hypertension") and 0.5 < near.score < 0.8


def test_a_part_of_a_name_the_head_before_its_beginning(store):
    linker = EntityLinker(store)
    found = linker.links([document("sporadic ovarian cancer", ("sporadic ovarian cancer", "disease"))])[0][0]
    assert (found[0].id, found[0].how, found[0].found) == ("M:2", "part", "ovarian cancer")


def test_types_decide_what_a_name_can_be(store):
    linker = EntityLinker(store)
    text = "cold and cold and cold"
    assert ids(linker, document(text, ("cold", "chemical"), ("cold", "gene"))) == ["C:2", None]


def test_entities_of_the_document_decide_where_names_tie(store):
    linker = EntityLinker(store)
    assert ids(linker, document("a cold", ("cold", "disease"))) == ["M:5"]
    linked = linker.links([document("CLD1 and a cold", ("CLD1", "gene"), ("cold", "disease"))])[0][1]
    assert [one.id for one in linked] == ["M:6", "M:5"] and linked[0].related == ("G:1",)


def test_short_forms_are_what_the_document_says(store):
    linker = EntityLinker(store)
    text = "Ovarian cancer (OC) is rare. OC and OCs kill; (OC) of mice."
    marked = document(text, ("Ovarian cancer", "disease"), ("OC", "disease"), ("OC", "disease"), ("OCs", "disease"))
    assert ids(linker, marked) == ["M:2"] * 4
    assert ids(linker, document("OC kills", ("OC", "disease"))) == [None]
    text = "Diethylnitrosamine (DEN: 10 mg/kg) or doxorubicin (A) after DEN and A"
    names = [("Diethylnitrosamine", "chemical"), ("DEN", "chemical"), ("doxorubicin", "chemical"), ("A", "chemical")]
    marked = document(text, *names, ("DEN", "chemical"), ("A", "chemical"))
    assert short_forms(marked) == {"DEN": "Diethylnitrosamine", "A": "doxorubicin"}
    assert ids(linker, marked) == ["C:3", "C:3", "C:1", "C:1", "C:3", "C:1"]


def test_short_forms_among_other_words_are_written_out():
    shorts = {"OC": "ovarian cancer"}
    assert list(expanded("OC", shorts)) == ["ovarian cancer"]
    assert list(expanded("familial OC", shorts)) == ["familial ovarian cancer"]
    assert list(expanded("OCD", shorts)) == []


def test_ids_of_a_vocabulary(store):
    text = "breast cancer and hypertension"
    marked = document(text, ("breast cancer", "disease"), ("hypertension", "disease"))
    assert ids(EntityLinker(store), marked) == ["O:1", "M:4"]
    # Of the two above breast cancer the one whose name is like the mention.
    assert ids(EntityLinker(store, LinkSettings(("MESH",))), marked) == ["MESH:D1", "MESH:D4"]
    assert ids(EntityLinker(store, LinkSettings(("OMIM", "MESH"))), marked)[1] == "OMIM:4"


def test_one_without_an_id_of_the_vocabulary_is_less_likely(store):
    marked = document("a gene CLD1", ("CLD1", "gene"))
    (found,) = EntityLinker(store, LinkSettings(("MESH",))).links([marked])[0]
    assert found[0].id == "G:1" and found[0].score < 0.7
    assert EntityLinker(store, LinkSettings(("MESH",), nil=0.8)).links([marked]) == [[()]]


def test_composite_mentions(store):
    assert conjuncts("breast and/or ovarian cancer") == ["breast cancer", "ovarian cancer"]
    assert conjuncts("fever, cough") == ["fever", "cough"]
    assert conjuncts("breast cancer") == []
    found = EntityLinker(store).links([document("breast and ovarian cancer", ("breast and ovarian cancer", "disease"))])
    assert [one.id for one in found[0][0]][:2] == ["O:1", "M:2"]


def test_a_composite_mention_gets_the_ids_of_all_it_names(store):
    marked = document("breast and ovarian cancer", ("breast and ovarian cancer", "disease"))
    for settings in (LinkSettings(), LinkSettings(top=1), LinkSettings(("MESH",))):
        (mention,) = EntityLinker(store, settings).link_document(marked).mentions
        wanted = ("MESH:D1", "MESH:D2") if settings.vocabularies else ("O:1", "M:2")
        assert mention.ids == wanted and mention.entity == wanted[0]
        assert [link.how for link in mention.links][:2] == ["conjunct", "conjunct"]
    found = FoundEntity.of(mention)
    assert found.entity_ids == mention.ids and found.to_mention().ids == mention.ids
    single = EntityLinker(store).link_document(document("breast cancer", ("breast cancer", "disease"))).mentions[0]
    assert single.ids == () and FoundEntity.of(single).entity_ids == ("O:1",)
    line = json.loads(output.to_json(Document("1", marked.text, (mention,))))
    assert line["entities"][0]["ids"] == list(mention.ids) and line["entities"][0]["entity_id"] == mention.entity
    assert "breast and ovarian cancer\tdisease\tMESH:D1|MESH:D2" in "\n".join(
        pubtator.lines_of(Document("1", marked.text, (mention,)), Report())
    )


def test_names_that_linked_text_taught(store):
    linked = Document("1", "adriamycin (ADR), ADR", (
        Mention(0, 10, "chemical", "adriamycin", ids=("MESH:D7",)),
        Mention(12, 15, "chemical", "ADR", ids=("MESH:D7",)),
        Mention(18, 21, "chemical", "ADR", ids=("MESH:D7",)),
    ))  # fmt: skip
    aliases = Aliases.collect([linked] * 3, store)
    assert len(aliases) == 1  # a short form is no name
    linker = EntityLinker(store, aliases=aliases)
    marked = document("Adriamycin and ADR", ("Adriamycin", "chemical"), ("ADR", "chemical"))
    assert ids(linker, marked) == ["C:1", None]
    assert linker.links([marked])[0][0][0].how == "alias"
    assert ids(linker, document("adriamycin", ("adriamycin", "disease"))) == [None]


def test_a_text_that_mostly_names_several_is_no_name_of_one(store):
    text = "breast and ovarian cancer"
    one, two = (Document("1", text, (Mention(0, 25, "disease", text, ids=ids),)) for ids in [("O:1",), ("O:1", "M:2")])
    marked = document(text, (text, "disease"))
    for linked, wanted in (([one] * 9, ()), ([one] + [two] * 8, ("O:1", "M:2"))):
        aliases = Aliases.collect(linked, store)
        assert len(aliases) == 1
        assert EntityLinker(store, aliases=aliases).link_document(marked).mentions[0].ids == wanted
    assert len(Aliases.collect([two], store)) == 0


@pytest.fixture(scope="module")
def bank(store, tiny_encoder, tmp_path_factory):
    """Z of the tiny encoder, as the teacher makes it."""
    from kogner.config import FeaturesConfig, TeacherConfig
    from kogner.mapping import to_mapping
    from kogner.teacher.bank import write_bank
    from kogner.teacher.features import Pooler

    config = TeacherConfig(features=FeaturesConfig(encoder=str(tiny_encoder)))
    rows = Pooler.load(config.features, "cpu").encode([name for name, _ in store.texts()])
    parts = {"Z": rows, "Z'": np.ones((len(store), 2), np.float16), "Z''": np.ones((len(store), 2), np.float16)}
    folder = tmp_path_factory.mktemp("bank") / "bank"
    parents = {"graph": store.artifact.hash}
    recipe = {"teacher": to_mapping(config)}
    write_bank(folder, store.all_ids(), parts, keys={}, parents=parents, recipe=recipe, metrics={})
    return folder


def test_vectors_find_what_no_name_fits_and_many_at_once_as_one(store, bank):
    linker = EntityLinker.open(store.path, LinkSettings(nil=0), bank=bank)
    marked = [document(text, (text, "chemical")) for text in ("iethylnitrosamine", "oxorubicin", "Cold")]
    together = linker.links(marked)
    assert [(found[0][0].id, found[0][0].how) for found in together] == [
        ("C:3", "vector"), ("C:1", "vector"), ("C:2", "exact")
    ]  # fmt: skip
    assert all(link.likeness is None for found in together for link in found[0])
    told = EntityLinker.open(store.path, LinkSettings(nil=0, likeness=True), bank=bank)
    for found in (told.links([one])[0][0] for one in marked):
        assert all(link.likeness is not None and -1 <= link.likeness <= 1.001 for link in found)
        assert ', "likeness": ' in output.to_json(
            Document("1", "x", (Mention(0, 1, "a", "x", links=found),)), explain=True
        )
    alone = EntityLinker.open(store.path, LinkSettings(nil=0), bank=bank)
    assert [alone.links([one])[0] for one in marked] == together


def test_a_bank_of_another_graph(store, bank, tmp_path):
    build(ENTITIES[:3], (), tmp_path / "other", rejected=Rejections())
    with pytest.raises(ConfigError, match="another graph"):
        EntityLinker.open(tmp_path / "other", bank=bank)


def test_links_do_not_depend_on_what_came_before(tmp_path):
    """Of two classes above an entity that has names like both, the one like the mention, in any order."""
    entities = [
        Entity("O:1", "Disease", "renal tumor", ("liver growth",)),
        Entity("M:1", "Disease", "Renal Neoplasms", (), ("MESH:D1",)),
        Entity("M:2", "Disease", "Liver Diseases", (), ("MESH:D2",)),
    ]
    triples = [Triple("O:1", "is_a", "M:1"), Triple("O:1", "is_a", "M:2")]
    build(entities, triples, tmp_path / "graph", rejected=Rejections())
    marked = [document(name, (name, "disease")) for name in ("renal tumor", "liver growth")]
    for order in (marked, marked[::-1]):
        linker = EntityLinker.open(tmp_path / "graph", LinkSettings(("mesh",)))
        assert dict(zip([one.text for one in order], ids(linker, *order), strict=True)) == {
            "renal tumor": "MESH:D1", "liver growth": "MESH:D2"
        }  # fmt: skip


def test_a_mention_is_not_its_own_company(tmp_path):
    entities = [Entity("A:1", "Disease", "one", ("cold",)), Entity("B:1", "Disease", "two", ("cold",))]
    build(entities, [Triple("A:1", "causes", "B:1")], tmp_path / "graph", rejected=Rejections())
    (found,) = EntityLinker.open(tmp_path / "graph").links([document("a cold", ("cold", "disease"))])[0]
    assert [one.id for one in found] == ["A:1", "B:1"] and not any(one.related for one in found)


def test_a_poor_long_form_gives_way_to_the_short_forms_own_name(tmp_path):
    build([Entity("G:1", "Gene", "TNA"), Entity("G:2", "Gene", "alpha")], [], tmp_path / "graph", rejected=Rejections())
    marked = document("tumour necrosing alpha (TNA)", ("TNA", "gene"))
    assert ids(EntityLinker.open(tmp_path / "graph"), marked) == ["G:1"]


def test_a_part_of_a_bank_is_refused(store, bank, tmp_path):
    from kogner.teacher.bank import Bank

    Bank.open(bank).slice(store.all_ids()[:4], tmp_path / "slice")
    with pytest.raises(ConfigError, match="whole bank"):
        EntityLinker.open(store.path, bank=tmp_path / "slice")


def test_a_vocabulary_that_the_graph_does_not_have(store):
    with pytest.raises(ConfigError, match=r"no entity of .* has an id UMLS"):
        EntityLinker(store, LinkSettings(("UMLS",)))


def test_settings_that_cannot_be():
    with pytest.raises(ConfigError, match="must be a list"):
        LinkSettings("MESH")
    with pytest.raises(ConfigError, match="nil"):
        LinkSettings(nil=1)


def test_the_command_links_and_explains(store, tiny_student, tmp_path):
    with artifacts.writing(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(tiny_student, StudentInfo(types=("disease",)), folder)
    text = tmp_path / "text.jsonl"
    jsonl.write(text, [Document("1", "aspirin lowered the fever")])
    run = ["annotate", str(text), "--model", str(tmp_path / "student"), "--labels", "disease", "--threshold", "0.0001"]
    result = CliRunner().invoke(cli, [*run, "--graph", str(store.path), "--explain", "--nil", "0"])
    assert result.exit_code == 0, result.output
    entities = json.loads(result.stdout.splitlines()[-1])["entities"]
    assert entities and all("links" in one for one in entities)
    refused = CliRunner().invoke(cli, [*run, "--link-to", "MESH"])
    assert refused.exit_code != 0 and "--graph" in str(refused.exception or refused.output)
