"""The spaCy component: what it sets, in batches, what is kept of entities off token borders, and what is written."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from importlib import import_module
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from kogner import KoGNER
from kogner.annotate.predictor import Predictor
from kogner.api import Entities
from kogner.errors import ArtifactError, ConfigError, InputError
from kogner.records import Link, Mention
from kogner.spacy_component import FILE, KognerPipe, make_kogner
from kogner.spacy_docs import NOT_SET, OVERLAPS, REPLACED, WIDENED, set_entities
from kogner.student.checkpoint import StudentInfo

TEXT = "aspirin lowered the fever of rats with il-2 gene"
CONFIG = {"labels": ["chemical", "disease"], "threshold": 0.02}


@pytest.fixture
def model(tiny_student):
    return KoGNER(Predictor(tiny_student, StudentInfo(types=("chemical",))))


@pytest.fixture
def saved(model, tmp_path):
    model.save_pretrained(tmp_path / "student")
    return str(tmp_path / "student")


@pytest.fixture
def nlp(saved):
    made = spacy.blank("en")
    made.add_pipe("kogner", config={"model": saved, **CONFIG})
    return made


def _exact(doc):
    return sorted((one.start, one.end, one.text, one.type, one.score) for one in doc._.kogner)


def test_the_entities_are_those_of_the_predictor(nlp, model):
    for settings in ({}, {"nested": True}):
        nlp.get_pipe("kogner").config |= settings
        doc = nlp(TEXT)
        (wanted,) = model.predict([TEXT], labels=CONFIG["labels"], threshold=0.02, **settings)
        assert len(wanted) > 3
        assert _exact(doc) == sorted((w.start, w.end, w.text, w.type, w.score) for w in wanted)
        assert isinstance(doc._.kogner, Entities) and "<mark" in doc._.kogner._repr_html_()
        assert all(span._.kogner.score in doc.spans["kogner"].attrs["scores"] for span in doc.ents)
        assert len(doc.spans["kogner"]) == len(wanted) >= len(doc.ents)


def test_a_batch_is_one_call(nlp, monkeypatch):
    pipe, sizes = nlp.get_pipe("kogner"), []
    real = pipe.model.annotate

    def counted(documents, **settings):
        sizes.append(len(documents))
        return real(documents, **settings)

    monkeypatch.setattr(pipe.model, "annotate", counted)
    docs = list(nlp.pipe([TEXT, "", "the fever"] * 3, batch_size=4))
    assert sizes == [4, 4, 1]
    assert [_exact(doc) for doc in docs[:3]] == [_exact(doc) for doc in docs[6:]] and not docs[1].ents
    assert _exact(docs[0]) == _exact(nlp(TEXT))


def test_what_is_off_token_borders_keeps_its_characters(nlp, tmp_path):
    doc = nlp.make_doc("IL2mediated fever")
    tokens = [token.text for token in doc]
    assert tokens == ["IL2mediated", "fever"]
    found = [
        Mention(0, 3, "gene", "IL2", entity="X:1", score=0.9, links=(Link("X:1", 0.75),)),
        Mention(0, 2, "gene", "IL", score=0.4),
        Mention(12, 17, "disease", "fever", score=0.8),
    ]
    pipe = nlp.get_pipe("kogner")
    set_entities(doc, found, report=pipe.report)
    assert pipe.report.noted == {WIDENED: 2, OVERLAPS: 1} and len(doc.spans["kogner"]) == 3
    first, second = doc.ents
    assert (first.text, first.kb_id_, first._.kogner.text, first._.kogner.entity_score) == (
        "IL2mediated", "X:1", "IL2", 0.75,
    )  # fmt: skip
    assert second._.kogner.score == 0.8 and doc[0:2]._.kogner is None
    back = [Doc(nlp.vocab).from_bytes(doc.to_bytes())]
    back += DocBin().from_bytes(DocBin(docs=[doc]).to_bytes()).get_docs(nlp.vocab)
    for one in back:
        assert _exact(one) == _exact(doc) and one.ents[0]._.kogner == first._.kogner


@pytest.mark.parametrize("overwrite", [True, False])
def test_entities_of_others(nlp, overwrite):
    doc = nlp.make_doc("the fever of rats")
    doc.ents = [Span(doc, 1, 3, label="OTHER"), Span(doc, 3, 4, label="SPECIES")]
    pipe = nlp.get_pipe("kogner")
    for _ in range(2):
        set_entities(
            doc, [Mention(4, 9, "disease", "fever", score=0.5)], report=pipe.report, overwrite=overwrite
        )  # and once more, as where a pipeline is run on its own documents
        labels = [one.label_ for one in doc.ents]
        assert labels == (["disease", "SPECIES"] if overwrite else ["OTHER", "SPECIES"])
        assert len(doc.spans["kogner"]) == 1
    assert pipe.report.noted == ({REPLACED: 1} if overwrite else {NOT_SET: 2})


def test_a_pipeline_is_written_as_its_configuration(nlp, saved, tmp_path):
    nlp.get_pipe("kogner").config["nested"] = True
    nlp.to_disk(tmp_path / "pipeline")
    assert sum(file.stat().st_size for file in (tmp_path / "pipeline" / "kogner").iterdir()) < 2000
    loaded = spacy.load(tmp_path / "pipeline")
    copied = spacy.blank("en")
    copied.add_pipe("kogner", config={"model": saved})
    copied.from_bytes(nlp.to_bytes())
    for one in (loaded, copied):
        assert one.get_pipe("kogner").config == nlp.get_pipe("kogner").config
        assert _exact(one(TEXT)) == _exact(nlp(TEXT))
        assert one.pipe_labels == {"kogner": CONFIG["labels"]}
    with pytest.raises(InputError, match="no JSON"):
        nlp.get_pipe("kogner").from_bytes(b"{")
    with pytest.raises(ConfigError, match="'exec' is no setting"):
        nlp.get_pipe("kogner").from_bytes(b'{"exec": 1}')
    for given in (b"1", b'{"exec": 1}'):
        with pytest.raises((InputError, ConfigError), match=r"no object 'given'|'exec' is no setting"):
            nlp.get_pipe("kogner").from_bytes(b'{"given": %s}' % given)
    with pytest.raises(InputError, match="cannot be read"):
        nlp.get_pipe("kogner").from_disk(tmp_path)


def loaded(path, **given):
    made = spacy.load(path, config={"components": {"kogner": given}})
    return made.get_pipe("kogner")


def test_what_a_pipeline_is_loaded_with_stands(nlp, saved, tmp_path):
    nlp.get_pipe("kogner").config |= {"overlap": "longest", "nested": True}  # since it was made
    nlp.to_disk(tmp_path / "pipeline")
    before = nlp.get_pipe("kogner").config
    changes = {"labels": ["gene"], "threshold": 0.4, "thresholds": {"gene": 0.6}, "spans_key": "found"}
    assert loaded(tmp_path / "pipeline", **changes).config == before | changes
    moved = str(Path(saved).rename(tmp_path / "elsewhere"))
    pipe = loaded(tmp_path / "pipeline", model=moved)
    assert pipe.config == before | {"model": moved} and pipe(nlp.make_doc(TEXT)).spans["kogner"]


def test_a_pipeline_is_loaded_with_a_default(nlp, saved, tmp_path):
    made = spacy.blank("en")
    made.add_pipe("kogner", config={"model": saved, "nested": True, "overwrite_ents": False, **CONFIG})
    made.to_disk(tmp_path / "pipeline")
    before = made.get_pipe("kogner").config
    changes = {"threshold": None, "nested": False, "overwrite_ents": True, "labels": []}
    pipe = loaded(tmp_path / "pipeline", **changes)
    assert pipe.config == before | changes and pipe.labels == ("chemical",)
    again = spacy.blank("en").from_config(made.config.merge({"components": {"kogner": {"threshold": 0.7}}}))
    again.from_bytes(made.to_bytes())
    assert again.get_pipe("kogner").config == before | {"threshold": 0.7}


def test_what_a_pipeline_was_loaded_with_is_written_with_it(nlp, tmp_path):
    pipe = nlp.get_pipe("kogner")
    pipe.config |= {"threshold": 0.3, "nested": True}
    nlp.to_disk(tmp_path / "first")
    second = spacy.load(tmp_path / "first", config={"components": {"kogner": {"threshold": 0.4}}})
    second.to_disk(tmp_path / "second")
    assert loaded(tmp_path / "second").config == pipe.config | {"threshold": 0.4}
    assert loaded(tmp_path / "second", nested=True, threshold=0.5).config == pipe.config | {"threshold": 0.5}
    assert deepcopy(pipe).to_bytes() == pipe.to_bytes()


def test_a_configuration_that_does_not_say_what_it_was_made_of(nlp, saved, tmp_path, model):
    """As written before it was said, and as that of a component made by itself."""
    pipe = nlp.get_pipe("kogner")
    nlp.to_disk(tmp_path / "pipeline")
    (tmp_path / "pipeline" / "kogner" / FILE).write_text(json.dumps(pipe.config | {"nested": True}))
    assert loaded(tmp_path / "pipeline").config == pipe.config | {"nested": True}
    assert loaded(tmp_path / "pipeline", threshold=0.4).config == pipe.config | {"nested": True, "threshold": 0.4}
    alone = KognerPipe("kogner", {"threshold": 0.9}, model=model).from_disk(tmp_path / "pipeline" / "kogner")
    assert alone.config == pipe.config | {"nested": True, "threshold": 0.9}


def test_what_cannot_be_is_said_when_it_is_added(saved, tmp_path, model):
    blank = spacy.blank("en")
    with pytest.raises(ArtifactError):
        blank.add_pipe("kogner", config={"model": str(tmp_path / "nowhere")})
    with pytest.raises(InputError, match="given more than once"):
        blank.add_pipe("kogner", config={"model": saved, "labels": ["a", "a"]})
    with pytest.raises(InputError, match="between 0 and 1"):
        blank.add_pipe("kogner", config={"model": saved, "threshold": 2.0})
    with pytest.raises(ConfigError, match="without a graph"):
        blank.add_pipe("kogner", config={"model": saved, "link_to": ["MESH"]})
    with pytest.raises(ConfigError, match="give labels"):
        KognerPipe("kogner", {}, model=KoGNER(model.predictor.__class__(model.predictor.student)))
    assert KognerPipe("kogner", {}, model=model).labels == ("chemical",)


def test_errors_go_to_spacys_handler(nlp, monkeypatch):
    pipe, failed = nlp.get_pipe("kogner"), []
    real = pipe.model.annotate

    def poisoned(documents, **settings):
        if any("poison" in one.text for one in documents):
            raise InputError("poison")
        return real(documents, **settings)

    monkeypatch.setattr(pipe.model, "annotate", poisoned)
    with pytest.raises(InputError):
        list(nlp.pipe(["a poison"]))
    nlp.set_error_handler(lambda name, proc, docs, error: failed.extend(doc.text for doc in docs))
    assert [doc.text for doc in nlp.pipe(["fever", "a poison", "rats"], batch_size=1)] == ["fever", "rats"]
    assert failed == ["a poison"]


def test_ids_of_a_graph(saved, tmp_path):
    from kogner.graph.rejections import Rejections
    from kogner.graph.store import build
    from kogner.records import Entity

    build([Entity("X:1", "Disease", "fever", (), ("MESH:D1",))], [], tmp_path / "graph", rejected=Rejections())
    nlp = spacy.blank("en")
    config = {"model": saved, "graph": str(tmp_path / "graph"), "link_to": ["MESH"], "overlap": "all", **CONFIG}
    nlp.add_pipe("kogner", config=config | {"labels": ["disease"]})
    doc = nlp(TEXT)
    ids = {span.text: (span.kb_id_, span._.kogner.entity_score) for span in doc.spans["kogner"]}
    assert ids["fever"][0] == "MESH:D1" and ids["fever"][1] > 0.9


def test_an_open_model_is_not_copied(model, saved):
    pipe = KognerPipe("kogner", dict(CONFIG), model=model)
    with pytest.raises(TypeError, match="was given an open model, which is not copied"):
        deepcopy(pipe)
    pipe.from_bytes(KognerPipe("kogner", {"model": saved, **CONFIG}).to_bytes())
    assert deepcopy(pipe).config["model"] == saved


def test_scores_of_spacy(nlp):
    gold = nlp(TEXT)
    assert nlp.evaluate([Example(nlp.make_doc(TEXT), gold)])["ents_f"] == 1.0


def test_spacy_finds_the_component_by_itself():
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    (place,) = re.findall(r'\[project\.entry-points\.spacy_factories\]\nkogner = "(.+)"', project)
    module, _, name = place.partition(":")
    assert getattr(import_module(module), name) is make_kogner
