"""A student on disk: weights as safetensors, configuration as JSON, tokenizer, model card. No pickle, no code.

Layout of the folder (artefact kind `student`, format version 1):
  student.json       architecture, entity types it was trained on, thresholds
  model.safetensors  weights (float16 or float32)
  text_encoder/      config.json and tokenizer of the text encoder; label_encoder/ likewise where it is separate
  README.md          the model card, which names the encoder it started from
  training_log.jsonl losses, rates and dev scores by step
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from kogner import encoders
from kogner.artifacts import Artifact, open_artifact
from kogner.config import StudentConfig, from_mapping, to_mapping
from kogner.errors import ArtifactError, ConfigError
from kogner.student.model import Student

KIND, VERSION = "student", 1


@dataclass(frozen=True)
class StudentInfo:
    """What a checkpoint knows besides its weights.

    types: entity types it was trained on. thresholds: score from which a span of the type counts,
    fitted on dev data; `default_threshold` for all other labels. base: name of the encoder it was fine-tuned from.
    """

    types: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    default_threshold: float = 0.5
    base: str = ""

    def threshold(self, label: str) -> float:
        """The threshold of a label, whatever its case."""
        fitted = {name.lower(): value for name, value in self.thresholds.items()}
        return fitted.get(label.lower(), self.default_threshold)


def create(config: StudentConfig) -> Student:
    """A fresh student: pretrained encoders, random heads; or the student of `config.initial` trained further.

    Raises ArtifactError where `initial` is no KoGNER student, ConfigError where its shape is not the recipe's.
    """
    if config.initial is not None:
        if (Path(config.initial) / "gliner_config.json").is_file() or not Path(config.initial).is_dir():
            raise ArtifactError(
                f"student.initial={config.initial!r} must be the folder of a KoGNER student; GLiNER checkpoints "
                "are not read yet. Start from an encoder instead: --set student.initial=null"
            )
        student, _, _ = load(Path(config.initial))
        for name in ("max_width", "hidden"):
            asked, found = getattr(config, name), getattr(student.config, name)
            if asked is not None and asked != found:
                raise ConfigError(
                    f"student.{name}={asked}, but {config.initial} has {found}; set student.{name}={found}"
                )
        for module in (student.span_head, student.type_head, student.word_dropout):
            for part in module.modules():
                if isinstance(part, torch.nn.Dropout):
                    part.p = config.dropout
        context = config.context or student.config.context
        student.config = dataclasses.replace(student.config, dropout=config.dropout, context=context)
        return student
    tokenizer, text_model = encoders.load(config.encoder)
    if config.label_encoder == "shared":
        return Student(config, tokenizer=tokenizer, text_model=text_model)
    label_tokenizer, label_model = encoders.load(config.label_encoder)
    return Student(
        config, tokenizer=tokenizer, text_model=text_model, label_tokenizer=label_tokenizer, label_model=label_model
    )


def origin(config: StudentConfig) -> tuple[str, dict[str, str]]:
    """Name of the encoder a student was first made from, and the hash of the student it goes on from, if any."""
    if config.initial is None:
        return config.encoder, {}
    artifact = open_artifact(Path(config.initial), kind=KIND, version=VERSION)
    raw = json.loads((Path(config.initial) / "student.json").read_text(encoding="utf-8"))
    return str(raw["info"]["base"]), {"initial": artifact.hash}


def save(student: Student, info: StudentInfo, folder: Path, *, half: bool = True) -> None:
    """Write a student into an existing folder (see `artifacts.writing`)."""
    config = to_mapping(student.config) | {"hidden": student.hidden, "initial": None}
    raw = {"student": config, "info": dataclasses.asdict(info)}
    (folder / "student.json").write_text(json.dumps(raw, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    dtype = torch.float16 if half else torch.float32
    weights = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in student.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    sides = [("text_encoder", student.text_encoder, student.tokenizer)]
    if student.label_encoder is not None:
        sides.append(("label_encoder", student.label_encoder, student.label_tokenizer))
    for name, encoder, tokenizer in sides:
        encoder.model.config.save_pretrained(folder / name)  # type: ignore[union-attr, operator]
        tokenizer.save_pretrained(folder / name)


def load(folder: Path, *, device: str = "cpu") -> tuple[Student, StudentInfo, Artifact]:
    """Read a student. Raises ArtifactError for a folder that is incomplete, damaged or of another version."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    artifact = open_artifact(folder, kind=KIND, version=VERSION)
    raw = json.loads((folder / "student.json").read_text(encoding="utf-8"))
    config = from_mapping(StudentConfig, raw["student"], where=str(folder / "student.json"))
    info = StudentInfo(**{**raw["info"], "types": tuple(raw["info"]["types"])})

    def skeleton(name: str) -> tuple[Any, torch.nn.Module]:
        model_config = AutoConfig.from_pretrained(folder / name, trust_remote_code=False)
        try:
            model = AutoModel.from_config(model_config, trust_remote_code=False, add_pooling_layer=False)
        except TypeError:  # only BERT-like models have a pooling layer to leave out
            model = AutoModel.from_config(model_config, trust_remote_code=False)
        return AutoTokenizer.from_pretrained(folder / name, trust_remote_code=False), model

    tokenizer, text_model = skeleton("text_encoder")
    label_tokenizer, label_model = skeleton("label_encoder") if config.label_encoder != "shared" else (None, None)
    student = Student(
        config, tokenizer=tokenizer, text_model=text_model, label_tokenizer=label_tokenizer, label_model=label_model
    )
    try:
        weights = load_file(folder / "model.safetensors")
    except SafetensorError as error:
        raise ArtifactError(f"{folder / 'model.safetensors'} is damaged: {error}") from error
    missing, unexpected = student.load_state_dict(weights, strict=False)
    if missing or unexpected:
        raise ArtifactError(
            f"{folder / 'model.safetensors'} does not fit its configuration: missing {missing[:3] or 'none'}, "
            f"unexpected {unexpected[:3] or 'none'} ({len(missing)} and {len(unexpected)} in all)"
        )
    return student.float().eval().to(device), info, artifact
