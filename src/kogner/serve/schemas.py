"""What goes in and out over HTTP, as JSON. Spans are half-open and count Unicode code points of the text as sent."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator

from kogner.serve.limits import DOCUMENT_CHARACTERS, Limits
from kogner.student.decode import OVERLAPS

Score = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
# JSON Schema takes 3.0 for an integer, pydantic does not where nothing is converted.
Whole = Annotated[
    int, BeforeValidator(lambda found: int(found) if isinstance(found, float) and found.is_integer() else found)
]
Item = TypeVar("Item")
Items = Annotated[list[Item], FailFast()]  # or a list of a million wrong items would make a million errors
Overlap = Literal["score", "longest", "first", "best", "all"]
assert set(Overlap.__args__) == set(OVERLAPS)  # type: ignore[attr-defined]  # a schema needs them written out


class Asked(BaseModel):
    """What a client sends: nothing is converted, and a field that is not known is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Part(Asked):
    """A part of a text: half-open code points [start, end). infons: what a file says of it, such as its type."""

    start: Whole = Field(ge=0, lt=1 << 31)
    end: Whole = Field(ge=0, lt=1 << 31)
    infons: dict[str, str] = {}


class AskedDocument(Asked):
    """A text. id: given back with its entities. passages: its parts, which are of use to `/v1/export` alone."""

    id: str = Field(max_length=DOCUMENT_CHARACTERS)
    text: str
    passages: Items[Part] = []


class AnnotateRequest(Asked):
    """One `text`, or `documents`; and the labels, that is the entity types to look for, as you name them."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["text"]}, {"required": ["documents"]}],
            "examples": [{"text": "Aspirin lowers fever.", "labels": ["chemical", "disease"]}],
        }
    )

    labels: Items[Annotated[str, Field(min_length=1)]] = Field(min_length=1, description="Entity types to look for.")
    text: str = Field("", description="One text; its document has the id `text`.")
    documents: Items[AskedDocument] = Field([], description="Several texts, annotated each on its own.")
    threshold: Score | None = Field(
        None,
        description="Score from which an entity counts, for all labels without one of their own. "
        "Default: as fitted for the model, see `/v1/labels`.",
    )
    thresholds: dict[str, Score] = Field({}, description="Thresholds of single labels, which must be among `labels`.")
    nested: bool = Field(False, description="Also entities inside entities.")
    multi_label: bool = Field(False, description="Also several types for one span.")
    overlap: Overlap = Field(
        "score",
        description="Which of overlapping spans wins: the best `score`, the `longest`, the `first` in the text, the "
        "`best` set without overlap (not with `nested`), or `all` of them. With `all` and a low threshold a client can "
        "apply thresholds of its own, live: drop entities below them, keep the best type of a span, then take spans by "
        "falling score, each that overlaps none taken before; that is what `score` does.",
    )
    agreement: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="How much other places of the same text in a document count, for all labels; 0: each sentence is "
        "decided for itself, as with overlap `all`. Default: as fitted for the model, see `/v1/labels`.",
    )
    link: bool | None = Field(
        None, description="Give entities their ids in the graph. Default: where the server has a graph."
    )
    explain: bool = Field(False, description="All ids an entity may have, best first, and why.")

    @model_validator(mode="after")
    def _one_source(self) -> AnnotateRequest:
        given = self.model_fields_set & {"text", "documents"}
        if len(given) != 1:
            raise ValueError(f"give either text or documents, not {'both' if given else 'neither'}")
        return self


class EntityId(BaseModel):
    """An entity of the graph that a mention may mean. score: in [0, 1], no probability.

    how: it was found: by the name `matched`, or by its vector. related: ids of entities of the same document that the
    graph relates it to. likeness: cosine of its vector and that of the text, where the server compares vectors. All of
    these with `explain` only.
    """

    id: str
    name: str
    score: float
    how: str | None = None
    matched: str | None = None
    related: list[str] | None = None
    likeness: float | None = None


class FoundEntity(BaseModel):
    """An entity in a text: half-open code points [start, end). ids: the best; with `explain` all, best first.

    together: how many of these it names at once, those first, as `breast and ovarian cancer` names two.
    """

    start: int
    end: int
    text: str
    type: str
    score: float
    ids: list[EntityId]
    together: int = 1


class FoundDocument(BaseModel):
    """The entities of a document, in the order of its text."""

    id: str
    entities: list[FoundEntity]


class ReadAnswer(BaseModel):
    """The texts of a file, as `AnnotateRequest.documents` takes them. notes: what its reader left out or put right.

    next: what to ask for with `first`, null where these are the last; notes are of what lies before it.
    """

    format: str
    documents: list[AskedDocument]
    notes: list[str]
    next: int | None = None


class ExportedId(Asked):
    """As `EntityId`; of an entity's ids a file holds the first, or as many as `together` says."""

    id: str
    name: str = ""
    score: float = Field(1.0, ge=0, le=1, allow_inf_nan=False)
    how: str | None = None
    matched: str | None = None
    related: list[str] | None = None
    likeness: float | None = None


class ExportedEntity(Asked):
    """As `FoundEntity`. text: not looked at, since the document has it."""

    start: Whole = Field(ge=0, lt=1 << 31)
    end: Whole = Field(ge=1, lt=1 << 31)
    text: str = ""
    type: str = Field(min_length=1)
    score: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    ids: Items[ExportedId] = []
    together: Whole = Field(1, ge=1, lt=1 << 31)


class ExportedDocument(Asked):
    """A text with its entities, and its parts where it has any."""

    id: str = Field(max_length=DOCUMENT_CHARACTERS)
    text: str
    entities: Items[ExportedEntity]
    passages: Items[Part] = []


class ExportRequest(Asked):
    """Documents as they were annotated, with their texts, and the format of the file."""

    format: Literal["jsonl", "pubtator", "bioc-xml", "bioc-json", "csv"]
    documents: Items[ExportedDocument]


class AnnotateAnswer(BaseModel):
    """The documents in the order they were sent. thresholds: by label, what an entity's score had to reach."""

    documents: list[FoundDocument]
    thresholds: dict[str, float]


class Label(BaseModel):
    """An entity type that the model was trained on, and the score from which an entity of it counts by default.

    agreement: how much other places of the same text in a document count, from 0 (not at all) to below 1.
    """

    label: str
    threshold: float
    agreement: float


class Suggestion(BaseModel):
    """A type of the graph, as a label. entities: of this type in the graph. linked: types that its mentions link to."""

    label: str
    type: str
    entities: int


class LabelsAnswer(BaseModel):
    """What can be asked for. Any text can be a label; these are known to do, or worth a try.

    default_threshold: of labels that the model was not trained on. limits: of a request.
    """

    labels: list[Label]
    default_threshold: float
    suggestions: list[Suggestion]
    graph: bool
    limits: dict[str, int]


class EntityAnswer(BaseModel):
    """An entity of the graph. ids: elsewhere. neighbours: how many edges it has. also: others that share the id."""

    id: str
    type: str
    name: str
    synonyms: list[str]
    description: str
    ids: list[str]
    neighbours: int
    also: list[str]


class Node(BaseModel):
    """An entity of the graph."""

    id: str
    name: str
    type: str


class Edge(BaseModel):
    """A directed relation. head, tail: ids of two nodes of the answer."""

    head: str
    relation: str
    tail: str


class RelationCount(BaseModel):
    """How many edges an entity has. direction: `out` where it is the head, `in` where it is the tail."""

    relation: str
    direction: Literal["out", "in"]
    count: int


class NeighboursAnswer(BaseModel):
    """An entity's edges, of each relation some, and the nodes at their ends, the entity itself first.

    total: edges there are; relations: of each kind.
    """

    id: str
    total: int
    relations: list[RelationCount]
    nodes: list[Node]
    edges: list[Edge]


class Health(BaseModel):
    """status: `ok`, or why not."""

    status: str


class ProblemDetail(BaseModel):
    """A thing that is wrong. where: in the request, as `documents.0.text`."""

    where: str
    message: str


class Problem(BaseModel):
    """Why a request was not done. reason: one word for programs. request_id: stands in the server's log too."""

    reason: str
    message: str
    request_id: str
    details: list[ProblemDetail] = []


class ProblemAnswer(BaseModel):
    """The body of every answer that is no success."""

    error: Problem


def set_limits(openapi: dict[str, Any], limits: Limits) -> None:
    """Write the limits of a server into the schemas of its OpenAPI document."""
    schemas = openapi["components"]["schemas"]
    asked = schemas["AnnotateRequest"]["properties"]
    asked["labels"] |= {"maxItems": limits.labels, "uniqueItems": True}
    asked["labels"]["items"] |= {"maxLength": limits.label_characters}
    asked["text"] |= {"maxLength": limits.characters}
    asked["documents"] |= {"maxItems": limits.documents}
    schemas["AskedDocument"]["properties"]["text"] |= {"maxLength": limits.characters}
