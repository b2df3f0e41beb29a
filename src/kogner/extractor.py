"""Entities as a step of a scikit-learn pipeline, which this file does not need to be there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kogner.api import DEFAULT_MODEL, Entities, FoundEntity, KoGNER
from kogner.errors import ConfigError

OUTPUTS = ("entities", "counts")


class EntityExtractor:
    """A transformer in scikit-learn's sense: texts in, entities or their counts out.

    labels: entity types to look for; None takes those the model was trained on. model: where a student is, or one that
    is open. graph: gives entities their ids. output: `entities`, the list of them for each text, or `counts`, for each
    text how often each entity occurs, as a dictionary that scikit-learn's DictVectorizer takes: `disease=MESH:D005334`,
    or `disease=fever` of one without an id, in lower case. settings: as of `kogner.annotate.predictor.Settings`.

    >>> make_pipeline(EntityExtractor(output="counts"), DictVectorizer(), LogisticRegression())  # doctest: +SKIP
    """

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        *,
        model: KoGNER | str | Path = DEFAULT_MODEL,
        graph: str | Path | None = None,
        output: str = "entities",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        # As they are given: scikit-learn compares them when it copies a step.
        self.labels, self.model, self.graph, self.output, self.settings = labels, model, graph, output, settings

    def fit(self, texts: object = None, y: object = None) -> EntityExtractor:
        """Open the model; nothing is learnt. Raises ConfigError for settings that cannot be, and as opening does."""
        if self.output not in OUTPUTS:
            raise ConfigError(f"output={self.output!r} must be one of {', '.join(OUTPUTS)}")
        if isinstance(self.model, KoGNER):
            if self.graph is not None:
                raise ConfigError("a model that is open has its graph already; leave out graph")
            self.model_ = self.model
        else:
            self.model_ = KoGNER.from_pretrained(self.model, graph=self.graph)
        self.labels_ = list(self.model_.types if self.labels is None else self.labels)
        return self

    def transform(self, texts: Iterable[str]) -> list[Entities] | list[dict[str, int]]:
        """Entities or counts of each text, in its order. A step that was not fitted opens its model now."""
        if not hasattr(self, "model_"):
            self.fit()
        # Columns of pandas and arrays are no sequences to Python.
        given = texts if isinstance(texts, (str, Sequence)) or not isinstance(texts, Iterable) else list(texts)
        found = self.model_.predict(given, labels=self.labels_, **(self.settings or {}))
        if self.output == "entities":
            return found
        return [dict(Counter(name for entity in entities for name in _names(entity))) for entities in found]

    def fit_transform(self, texts: Iterable[str], y: object = None) -> list[Entities] | list[dict[str, int]]:
        """`fit` and `transform`."""
        return self.fit().transform(texts)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that it was made with."""
        return {name: getattr(self, name) for name in ("labels", "model", "graph", "output", "settings")}

    def set_params(self, **params: Any) -> EntityExtractor:
        """Change arguments; the model is opened again by `fit`. Raises ConfigError for one that is not known."""
        for name, value in params.items():
            if name not in self.get_params():
                raise ConfigError(f"{name!r} is no parameter; there are {', '.join(self.get_params())}")
            setattr(self, name, value)
        self.__dict__.pop("model_", None)
        return self

    def __sklearn_clone__(self) -> EntityExtractor:
        return EntityExtractor(**self.get_params())  # a model that is open is shared, not copied

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.model, KoGNER):
            raise TypeError(
                "a step whose model is open cannot be pickled; give `model` its folder, and `graph` the graph"
            )
        return {name: value for name, value in self.__dict__.items() if name != "model_"}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
            input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
            requires_fit=False,
        )


def _names(entity: FoundEntity) -> list[str]:
    named = entity.entity_ids or (" ".join(entity.text.casefold().split()),)
    return [f"{entity.type}={one}" for one in named]
