"""A student on disk: weights as safetensors, configuration as JSON, tokenizer, model card. No pickle, no code.

Layout of the folder (artefact kind `student`, format version 1):
  student.json       architecture, entity types it was trained on, thresholds
  model.safetensors  weights (float16 or float32)
  text_encoder/      config.json and tokenizer of the text encoder; label_encoder/ likewise where it is separate
  README.md          the model card, which names the encoder it started from; training writes a longer one
  maps.safetensors   of a distilled one: maps of span vectors and the bank's rows into one space (`kogner.student.maps`)
  entity_weights.safetensors
                     how much names of single entities count (`kogner.annotate.entity_weights`), of a calibrated one
  training_log.jsonl losses, rates and dev scores by step, of a student that `kogner train` wrote
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kogner import encoders, hub
from kogner.artifacts import Artifact, file_sha256, open_artifact
from kogner.config import StudentConfig
from kogner.errors import ArtifactError, ConfigError, KognerError
from kogner.mapping import to_mapping
from kogner.progress import note
from kogner.student.layout import CARD, KIND, STUDENT, VERSION, WEIGHTS, is_gliner, read_student
from kogner.student.model import Student
from kogner.student.uni import UniStudent

# Of what is fitted for each type the value that is too large.
MOST = {
    "thresholds": 1.0, "temperatures": math.inf, "name_weights": math.inf, "name_losses": math.inf, "agreement": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class StudentInfo:
    """What a checkpoint knows besides its weights.

    types: entity types it was trained on. thresholds: score from which a span of the type counts,
    fitted on dev data; `default_threshold` for all other labels. base: name of the encoder it was fine-tuned from.
    temperatures: what a type's logits are divided by before the sigmoid, so that a score is a probability; fitted on
    dev data, 1 for all other labels. Thresholds are probabilities after that.
    name_weights: logits that a name of the graph adds to a span of the type, fitted on dev data; see
    `kogner.annotate.names`.
    name_losses: logits that a span of the type loses where it is no name of the graph, fitted on dev data; 0 for all
    other labels.
    agreement: how much other places of the same text in a document count for a type, in [0, 1), fitted on dev data; 0
    for all other labels; see `kogner.annotate.agreement`.
    """

    types: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    default_threshold: float = 0.5
    base: str = ""
    temperatures: Mapping[str, float] = field(default_factory=dict)
    name_weights: Mapping[str, float] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)
    name_losses: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(isinstance(name, str) for name in (*self.types, self.base)):
            raise ArtifactError(f"types and base of a student must be text, not {self.types!r} and {self.base!r}")
        for field_name, most in MOST.items():
            values = getattr(self, field_name)
            if not isinstance(values, Mapping):
                raise ArtifactError(f"{field_name} of a student must be a mapping of types to numbers, not {values!r}")
            for name, value in values.items():
                if field_name in ("thresholds", "temperatures") or value != 0:
                    _between(f"{field_name}[{name!r}]", value, most)
        _between("default_threshold", self.default_threshold, 1.0)

    @classmethod
    def read(cls, raw: Mapping[str, Any], *, file: Path) -> StudentInfo:
        """From the plain data of a file. Raises ArtifactError that names the file and what is wrong with it."""
        known = {each.name for each in dataclasses.fields(cls)}
        unknown = sorted(raw.keys() - known)
        if unknown:
            raise ArtifactError(f"{file} says {unknown[0]!r} of the student, which is not known here; upgrade KoGNER")
        types = raw.get("types", ())
        if not isinstance(types, (list, tuple)):
            raise ArtifactError(f"{file}: types must be a list, not {types!r}")
        try:
            return cls(**{**raw, "types": tuple(types)})
        except ArtifactError as error:
            raise ArtifactError(f"{file}: {error}; correct it, or fetch or make the student again") from error

    def threshold(self, label: str) -> float:
        """The threshold of a label, whatever its case."""
        return self._folded["thresholds"].get(label.lower(), self.default_threshold)

    def temperature(self, label: str) -> float:
        """The temperature of a label, whatever its case."""
        return self._folded["temperatures"].get(label.lower(), 1.0)

    def name_weight(self, label: str, default: float) -> float:
        """The weight of a name of the label, whatever its case; `default` where none was fitted."""
        return self._folded["name_weights"].get(label.lower(), default)

    def name_loss(self, label: str) -> float:
        """What a span of the label loses where it is no name, whatever its case."""
        return self._folded["name_losses"].get(label.lower(), 0.0)

    def agreement_of(self, label: str) -> float:
        """What other places of the same text count for a label, whatever its case."""
        return self._folded["agreement"].get(label.lower(), 0.0)

    @cached_property
    def _folded(self) -> dict[str, dict[str, float]]:
        """What is fitted for each type, by the type in small letters."""
        fitted: dict[str, Mapping[str, float]] = {name: getattr(self, name) for name in MOST}
        return {what: {name.lower(): value for name, value in of.items()} for what, of in fitted.items()}


def _between(name: str, value: Any, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < most:
        limit = "above 0 and finite" if most == math.inf else f"between 0 and {most:g}"
        raise ArtifactError(f"{name}={value!r} of a student must be a number {limit}")


def create(config: StudentConfig) -> Student:
    """A fresh student: pretrained encoders, random heads; or the student of `config.initial` trained further.

    Raises ArtifactError where `initial` cannot be read as a student, ConfigError where its shape is not the recipe's.
    """
    if config.initial is not None:
        return _go_on(config, config.initial)
    tokenizer, text_model = encoders.load(config.encoder, single_words=True)
    if config.architecture == "uni":
        _add_markers(config, tokenizer, text_model)
        return UniStudent(config, tokenizer=tokenizer, text_model=text_model)
    if config.label_encoder == "shared":
        return Student(config, tokenizer=tokenizer, text_model=text_model)
    label_tokenizer, label_model = encoders.load(config.label_encoder, single_words=True)
    return Student(
        config, tokenizer=tokenizer, text_model=text_model, label_tokenizer=label_tokenizer, label_model=label_model
    )


def _go_on(config: StudentConfig, initial: str) -> Student:
    """The student of `initial`, with what the recipe says of it and no weight depends on."""
    student, _ = open_student(initial)
    own = student.config
    for name in ("architecture", "hidden", "rnn_layers"):
        asked, found = getattr(config, name), getattr(own, name)
        if asked and asked != found:
            raise ConfigError(
                f"student.{name}={asked}, but {initial}, which student.initial goes on from, has {name}={found}: set "
                f"student.{name}={found}, or another student.initial"
            )
    if config.max_width != own.max_width:
        change = "narrowed" if config.max_width < own.max_width else "widened, beyond what it was trained for,"
        note(f"{initial} has max_width {own.max_width}, {change} to {config.max_width}")
        student.span_head.max_width = config.max_width
    words = own.words if config.words is None else config.words
    if words != own.words:
        note(f"{initial} was trained on {own.words} words; it goes on with {words} words")
    for module in (student.span_head, student.type_head, student.word_dropout):
        for part in module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = config.dropout
    student.config = dataclasses.replace(
        own,
        max_width=config.max_width,
        dropout=config.dropout,
        context=own.context if config.context is None else config.context,
        words=words,
    )
    return student


def _add_markers(config: StudentConfig, tokenizer: Any, model: Any) -> None:
    """Give a tokenizer the two markers of a uni-encoder, and its model a row for each."""
    tokenizer.add_tokens([config.ent_token, config.sep_token], special_tokens=True)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)


def open_student(path: str | Path, *, device: str = "cpu") -> tuple[Student, StudentInfo]:
    """A student from a folder of either kind (KoGNER, GLiNER), or from the hub where no such folder exists.

    Raises ArtifactError where there is none, or it is damaged or of a variant that is not read.
    """
    folder = hub.fetch(path)
    if is_gliner(folder):
        from kogner.student import gliner

        return gliner.load(folder, device=device)
    return load(folder, device=device)[:2]


def origin(config: StudentConfig) -> tuple[str, dict[str, str]]:
    """Name of the encoder a student was first made from, and the hashes of what it goes on from.

    By `initial` that of a student, by `encoder` that of an encoder with aligned names, if there is one.
    """
    if config.initial is None:
        return encoders.origin(config.encoder)
    folder = hub.fetch(config.initial)
    if is_gliner(folder):
        from kogner.student import gliner

        return gliner.base(folder), {"initial": file_sha256(folder / WEIGHTS)}
    artifact = open_artifact(folder, kind=KIND, version=VERSION)
    return StudentInfo.read(read_student(folder / STUDENT)[1], file=folder / STUDENT).base, {"initial": artifact.hash}


def save(student: Student, info: StudentInfo, folder: Path, *, half: bool = True) -> None:
    """Write a student into an existing folder (see `artifacts.writing`)."""
    describe(student, info, folder)
    dtype = torch.float16 if half else torch.float32
    weights = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in student.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    (folder / CARD).write_text(_card(student.config, info), encoding="utf-8")


@dataclass(frozen=True)
class Past:
    """What a student that was read from a folder keeps when it is written again. Fields as of `artifacts.writing`.

    card: its model card; None for a student that comes from elsewhere or has changed, of which the card would be wrong.
    """

    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    card: str | None = None

    @classmethod
    def of(cls, student: Student, folder: Path | None) -> Past:
        """The past of a student that was read from a folder."""
        if folder is None or not (folder / STUDENT).is_file():
            return cls()
        artifact = open_artifact(folder, kind=KIND, version=VERSION)
        stored, own = read_weights(folder / WEIGHTS), student.state_dict()
        if stored.keys() != own.keys() or not all(torch.equal(own[n].cpu(), stored[n].float()) for n in own):
            return cls(recipe=artifact.recipe, parents={**artifact.parents, "student": artifact.hash})
        card = folder / CARD
        text = card.read_text(encoding="utf-8") if card.is_file() else None
        return cls(artifact.recipe, artifact.metrics, artifact.parents, text)


def _card(config: StudentConfig, info: StudentInfo) -> str:
    types = ", ".join(f"`{name}`" for name in info.types) or "not known"
    base = f"`{info.base}`" if info.base else "an encoder"
    calibrated = "calibrated per type" if info.temperatures else "not calibrated"
    return f"""---
library_name: kogner
pipeline_tag: token-classification
tags: [biomedical, named-entity-recognition]
---
# KoGNER student

A span model for named entity recognition ({config.architecture}-encoder), fine-tuned from {base}.
Entity types it was trained on: {types}. Scores are {calibrated}; the threshold of a label without one of its own is
{info.default_threshold:g}.

```sh
kogner annotate TEXT --model DIR --labels {",".join(info.types) or "LABELS"}
```
"""


def describe(student: Student, info: StudentInfo, folder: Path) -> None:
    """Write all of a student but its weights: architecture, what it knows, configuration and tokenizer of encoders."""
    config = to_mapping(student.config) | {"hidden": student.hidden, "initial": None}
    raw = {"student": config, "info": dataclasses.asdict(info)}
    (folder / STUDENT).write_text(json.dumps(raw, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sides = [("text_encoder", student.text_encoder, student.tokenizer)]
    if student.label_encoder is not None:
        sides.append(("label_encoder", student.label_encoder, student.label_tokenizer))
    for name, encoder, tokenizer in sides:
        encoder.model.config.save_pretrained(folder / name)  # type: ignore[union-attr, operator]
        tokenizer.save_pretrained(folder / name)


def load(folder: Path, *, device: str = "cpu") -> tuple[Student, StudentInfo, Artifact]:
    """Read a student. Raises ArtifactError for a folder that is incomplete, damaged or of another version."""
    artifact = open_artifact(folder, kind=KIND, version=VERSION)
    config, raw = read_student(folder / STUDENT)
    info = StudentInfo.read(raw, file=folder / STUDENT)

    def side(name: str) -> tuple[Any, Any]:
        try:
            return encoders.tokenizer_at(folder / name), encoders.config_at(folder / name)
        except KognerError:
            raise
        except Exception as error:  # whatever transformers makes of files that are damaged
            raise ArtifactError(
                f"{folder / name} is not an encoder that this transformers can make: {encoders.first_line(error)}; "
                "fetch or make the student again, or upgrade transformers"
            ) from error

    tokenizer, text_config = side("text_encoder")
    label_tokenizer, label_config = side("label_encoder") if config.label_encoder != "shared" else (None, None)

    def make() -> Student:
        text_model = encoders.skeleton(text_config)
        if config.architecture == "uni":
            return UniStudent(config, tokenizer=tokenizer, text_model=text_model)
        label_model = None if label_config is None else encoders.skeleton(label_config)
        return Student(
            config, tokenizer=tokenizer, text_model=text_model, label_tokenizer=label_tokenizer, label_model=label_model
        )

    student = made_with(make, read_weights(folder / WEIGHTS), file=folder / WEIGHTS)
    return student.float().eval().to(device), info, artifact


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, those that its metadata names as the same as another one included.

    Raises ArtifactError where it is missing, cut off or damaged.
    """
    try:
        with safe_open(file, framework="pt") as stream:
            weights = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            shared = stream.metadata() or {}
    except FileNotFoundError as error:
        raise ArtifactError(f"{file.parent} is incomplete: {file.name} is missing") from error
    except SafetensorError as error:
        raise ArtifactError(f"{file} is damaged or cut off: {error}; fetch or make it again") from error
    return weights | {name: weights[of] for name, of in shared.items() if of in weights and name not in weights}


def made_with(make: Callable[[], Student], weights: Mapping[str, Tensor], *, file: Path) -> Student:
    """A student with these weights. make: builds it, with whatever weights; called twice.

    The first time nothing is allocated: sizes that a configuration names are believed only where the weights have them.
    Raises ArtifactError where the configuration is of no model, weights are missing, too many or of another shape, or
    one of them is not finite.
    """
    try:
        with torch.device("meta"):
            outline = make()
        _compare(outline, weights, file)
        student = make()
    except KognerError:
        raise
    except Exception as error:  # whatever transformers and torch make of a configuration that is damaged
        raise ArtifactError(
            f"{file.parent}: its configuration makes no model ({type(error).__name__}: {encoders.first_line(error)}); "
            "fetch or make the checkpoint again, or upgrade transformers"
        ) from error
    broken = next((name for name, tensor in weights.items() if not torch.isfinite(tensor).all()), None)
    if broken is not None:
        raise ArtifactError(f"{file} is damaged: {broken} has numbers that are not finite; fetch or make it again")
    student.load_state_dict(weights)
    return student


def _compare(student: Student, weights: Mapping[str, Tensor], file: Path) -> None:
    """Raise ArtifactError that counts and names the weights that are missing, too much or of another shape."""
    own = student.state_dict()
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or extra:
        raise ArtifactError(
            f"{file} does not fit its configuration: missing {missing[:3] or 'none'}, "
            f"unexpected {extra[:3] or 'none'} ({len(missing)} and {len(extra)} in all)"
        )
    for name, tensor in own.items():
        if tensor.shape != weights[name].shape:
            raise ArtifactError(
                f"{file} does not fit its configuration: {name} has shape {tuple(weights[name].shape)}, not "
                f"{tuple(tensor.shape)}"
            )
