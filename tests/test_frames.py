"""Frames in, frames of the same kind out; entities as a step of scikit-learn."""

from __future__ import annotations

import pickle
from decimal import Decimal

import numpy as np
import pyarrow
import pytest

from kogner import Entities, EntityExtractor, KoGNER, annotate_frame
from kogner.annotate.predictor import Predictor
from kogner.data.report import Report
from kogner.errors import ConfigError, InputError
from kogner.frames import COLUMNS, EMPTY
from kogner.student.checkpoint import StudentInfo

TEXTS = ["aspirin lowered the fever", None, "  ", "morphine and pain in rats"]
LABELS = ["chemical", "disease"]


@pytest.fixture
def model(tiny_student):
    return KoGNER(Predictor(tiny_student, StudentInfo(types=("chemical",))))


def _pandas(columns):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(columns, index=pandas.Index([10, 11, 12, 13], name="number"))


def _polars(columns):
    return pytest.importorskip("polars").DataFrame(columns)


@pytest.mark.parametrize("make", [_pandas, _polars, pyarrow.table])
def test_a_row_for_each_entity(make, model):
    frame = make({"abstract": TEXTS, "pmid": ["a", "b", "c", "d"]})
    report = Report()
    found = annotate_frame(
        frame, text="abstract", labels=LABELS, model=model, keep=["pmid"], report=report, threshold=0.02
    )
    assert type(found) is type(frame) and report.skipped == {EMPTY: 2}
    if isinstance(found, pyarrow.Table):
        rows = found.to_pylist()
    else:
        rows = found.to_dicts() if hasattr(found, "to_dicts") else found.reset_index().to_dict("records")
    wanted = [
        (number, one) for number in (0, 3) for one in model.predict([TEXTS[number]], labels=LABELS, threshold=0.02)[0]
    ]
    assert len(wanted) > 2
    assert [(row["pmid"], row["start"], row["end"], row["text"], row["type"], row["score"]) for row in rows] == [
        ("abcd"[number], one.start, one.end, one.text, one.type, one.score) for number, one in wanted
    ]
    if "number" in rows[0]:
        assert [row["number"] for row in rows] == [10 + number for number, _ in wanted]
        assert set(frame.join(found, rsuffix="_of").columns) >= {*COLUMNS, "abstract"}
    else:
        assert [row["row"] for row in rows] == [number for number, _ in wanted]


@pytest.mark.parametrize("make", [_pandas, _polars, pyarrow.table])
def test_no_entity_is_a_table_of_the_same_columns(make, model):
    frame = make({"text": TEXTS})
    full, empty = (annotate_frame(frame, labels=LABELS, model=model, threshold=least) for least in (0.02, 0.9999))
    assert len(empty) == 0 < len(full)
    assert list(getattr(empty, "column_names", empty.columns)) == list(getattr(full, "column_names", full.columns))
    if not isinstance(empty, pyarrow.Table):
        kinds = [list(map(str, one.dtypes)) for one in (full, empty)]
        assert kinds[0][:3] == kinds[1][:3]


def test_columns_whose_names_are_numbers(model):
    frame = _pandas({0: TEXTS, 1: ["a", "b", "c", "d"]})
    found = annotate_frame(frame, text="0", labels=LABELS, model=model, keep=["1"], threshold=0.02)
    assert len(found) > 2 and set(found["1"]) <= set("abcd") and "text" in found.columns


def test_cells_without_a_value_in_pandas(model):
    pandas = pytest.importorskip("pandas")
    for kind in ("object", "string", "str"):
        frame = pandas.DataFrame({"text": pandas.Series(["fever", None, "<NA>"], dtype=kind)})
        report = Report()
        annotate_frame(frame, labels=LABELS, model=model, report=report)
        assert report.skipped == {EMPTY: 1}
    nulls = [None, pandas.NA, pandas.NaT, float("nan"), Decimal("nan"), " "]
    report = Report()
    annotate_frame(
        pandas.DataFrame({"text": pandas.Series(nulls, dtype=object)}), labels=LABELS, model=model, report=report
    )
    assert report.skipped == {EMPTY: len(nulls)}
    empty = annotate_frame(frame.iloc[:0], labels=LABELS, model=model)
    assert len(empty) == 0 and list(empty.columns) == list(COLUMNS)


def test_what_is_no_frame_or_no_text(model):
    frame = pyarrow.table({"text": ["a"], "n": [1], "score": [1.0]})
    for given, more, says in (
        ({"text": ["a"]}, {}, "not dict"),
        (frame, {"text": "abstract"}, "no column 'abstract'; its columns: text, n"),
        (frame, {"text": "n"}, "row 0 holds no text but int"),
        (frame, {"keep": ["score"]}, "one that the result needs"),
    ):
        with pytest.raises(InputError, match=says):
            annotate_frame(given, labels=LABELS, model=model, **more)
    polars = pytest.importorskip("polars")
    with pytest.raises(InputError, match="collect"):
        annotate_frame(polars.LazyFrame({"text": ["a"]}), labels=LABELS, model=model)


def test_a_step_of_scikit_learn(model):
    base, pipeline, text = (
        pytest.importorskip(f"sklearn.{name}") for name in ("base", "pipeline", "feature_extraction")
    )
    linear = pytest.importorskip("sklearn.linear_model")
    texts = np.array(["aspirin fever", "the rats", "morphine", "no pain"])
    step = EntityExtractor(LABELS, model=model, output="counts", settings={"threshold": 0.02})
    whole = pipeline.make_pipeline(base.clone(step), text.DictVectorizer(), linear.LogisticRegression())
    assert whole.fit(texts, [1, 0, 1, 0]).predict(texts).shape == (4,)
    copy = base.clone(step)
    assert copy.get_params() == step.get_params() and not copy.__sklearn_is_fitted__()
    (counts, *_) = copy.fit_transform(texts)
    entities = EntityExtractor(model=model, settings={"threshold": 0.02}).transform(list(texts))
    assert isinstance(entities[0], Entities) and {one.type for one in entities[0]} == {"chemical"}
    assert all(key.startswith(("chemical=", "disease=")) and count >= 1 for key, count in counts.items()) and counts
    path = EntityExtractor(LABELS, model="somewhere", output="counts")
    assert pickle.loads(pickle.dumps(path)).get_params() == path.get_params()  # noqa: S301
    for opened in (model, EntityExtractor(LABELS, model=model)):
        with pytest.raises(TypeError, match="folder"):
            pickle.dumps(opened)
    with pytest.raises(ConfigError, match="output='x'"):
        copy.set_params(output="x").fit()
    with pytest.raises(ConfigError, match="no parameter"):
        copy.set_params(lables=[])


def test_a_notebook_shows_marked_text(model):
    (found,) = model.predict(["aspirin <b> & fever"], labels=LABELS, threshold=0.02, overlap="all")
    page = found._repr_html_()
    assert "&lt;b&gt;" in page and "&amp;" in page and "<b>" not in page and page.count("<mark") > 1
    assert "Not marked, since they cross others" in page
    assert page.count("<mark") + page.count("<li>") == len(found)
    assert found == list(found) and found.text == "aspirin <b> & fever"
