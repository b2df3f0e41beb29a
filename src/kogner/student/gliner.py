"""GLiNER checkpoints in and out: names of the weights, encoders, tokenizers (format of gliner 0.2.29).

Both sides hold the same layers under other names, so that weights pass unchanged. Three things differ:
- a BERT-like encoder of gliner carries a pooling layer that nothing reads: left out here, written as zeros;
- a bi-encoder of gliner may carry a BiLSTM that nothing reads: left out, and asked for no more when written;
- gliner has no label encoder that is the text encoder: a shared one is written twice, and read back as one.
Thresholds, types and the rest of our configuration lie beside it in `kogner.json`, how much names of single entities
count in `entity_weights.safetensors`; gliner reads neither.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from kogner import encoders, hub
from kogner.artifacts import MANIFEST
from kogner.config import StudentConfig
from kogner.errors import ArtifactError, KognerError
from kogner.mapping import to_mapping
from kogner.progress import note
from kogner.student import gliner_config
from kogner.student.checkpoint import StudentInfo, made_with, read_weights
from kogner.student.layout import (
    CARD,
    GLINER,
    LABELS_TOKENIZER,
    PICKLED,
    SIDE,
    VERSION,
    WEIGHTS,
    is_gliner,
    side_file,
)
from kogner.student.model import Student
from kogner.student.uni import UniStudent

KIND, FORMAT = "GLiNER checkpoint", 1

# Ours and theirs, by prefix.
_NAMES = {
    "text_encoder.model.": "token_rep_layer.bert_layer.model.",
    "text_encoder.projection.": "token_rep_layer.projection.",
    "label_encoder.model.": "token_rep_layer.labels_encoder.model.",
    "label_encoder.projection.": "token_rep_layer.labels_projection.",
    "rnn.": "rnn.lstm.",
    "span_head.start.": "span_rep_layer.span_rep_layer.project_start.",
    "span_head.end.": "span_rep_layer.span_rep_layer.project_end.",
    "span_head.out.": "span_rep_layer.span_rep_layer.out_project.",
    "type_head.": "prompt_rep_layer.",
}
# Encoders that gliner builds with other classes than transformers' own choice.
_OTHER_ENCODERS = {"t5", "mt5", "mistral", "llama", "gemma", "qwen2"}


def load(folder: Path, *, device: str = "cpu") -> tuple[Student, StudentInfo]:
    """Read a GLiNER checkpoint as a student, in evaluation mode, float32.

    Raises ArtifactError for a variant that is not read, an unknown field, missing or extra weights, a damaged file;
    and where there is only a `pytorch_model.bin`.
    """
    found = gliner_config.read(folder)
    config = gliner_config.student_config(folder)
    if found.off:
        note(
            f"{found.file}: {', '.join(found.off)} not known to KoGNER and false, 0 or empty: taken as switched off. "
            "Where a gliner newer than 0.2.29 has one of them on by default, it finds other entities than KoGNER"
        )
    if not (folder / WEIGHTS).is_file():
        parts = sorted(file.name for file in folder.glob("model-*-of-*.safetensors"))
        if parts:
            raise ArtifactError(
                f"{folder} has its weights in {len(parts)} files ({parts[0]} ...), and one {WEIGHTS} is read here; "
                "write it again with gliner: GLiNER.from_pretrained(DIR).save_pretrained(OUT)"
            )
        raise ArtifactError(
            f"{folder} has no {WEIGHTS}; where a checkpoint has its weights as {PICKLED}, which is a pickle and is not "
            f"read here, convert it once with: kogner convert-checkpoint {hub.name_of(folder)} OUT"
        )
    weights = _ours(read_weights(folder / WEIGHTS), is_bi=found.is_bi)
    side = side_file(folder)
    tokenizer, text_config = _encoder(folder, found.encoder_config, found.model_name)
    label_tokenizer = label_config = None
    if found.is_bi and not (config.label_encoder == "shared" and _untie(weights)):
        if config.label_encoder == "shared":
            note(f"{folder}: its two encoders are no longer the same; labels keep an encoder of their own")
            config = dataclasses.replace(config, label_encoder=found.labels_encoder or "")
        place = folder / LABELS_TOKENIZER
        label_tokenizer, label_config = _encoder(place, found.labels_encoder_config, found.labels_encoder or "")

    def make() -> Student:
        text_model = encoders.skeleton(text_config)
        _fit_rows(weights, "text_encoder.model.", text_model)
        if not found.is_bi:
            rows: int = text_model.get_input_embeddings().num_embeddings  # type: ignore[assignment]
            _find_markers(found, tokenizer, rows)
            return UniStudent(config, tokenizer=tokenizer, text_model=text_model)
        label_model = None if label_config is None else encoders.skeleton(label_config)
        if label_model is not None:
            _fit_rows(weights, "label_encoder.model.", label_model)
        return Student(
            config, tokenizer=tokenizer, text_model=text_model, label_tokenizer=label_tokenizer, label_model=label_model
        )

    student = made_with(make, weights, file=folder / WEIGHTS)
    info = StudentInfo(base=found.model_name) if side is None else StudentInfo.read(side[1], file=folder / SIDE)
    return student.float().eval().to(device), info


def base(folder: Path) -> str:
    """Name of the encoder that a GLiNER checkpoint was made from."""
    side = side_file(folder)
    return str(side[1].get("base", "")) if side is not None else gliner_config.read(folder).model_name


def save(student: Student, info: StudentInfo, folder: Path) -> None:
    """Write a student into an existing folder as `gliner` reads it: strictly, offline, weights in float32.

    See `artifacts.writing`. The words a KoGNER student is trained on are not gliner's: the card says how to set them.
    """
    config = student.config
    is_bi = config.architecture == "bi"
    weights = _theirs(student)
    label_model = student.text_encoder.model if student.label_encoder is None else student.label_encoder.model
    rows: int = student.text_encoder.model.get_input_embeddings().num_embeddings  # type: ignore[operator]
    raw = gliner_config.to_gliner(
        config,
        hidden=student.hidden,
        encoder_config=_config_of(student.text_encoder.model),
        labels_encoder_config=_config_of(label_model) if is_bi else None,
        class_token=None if is_bi else student.tokenizer.convert_tokens_to_ids(config.ent_token),
        vocabulary=None if is_bi else rows,
    )
    _write(folder / GLINER, raw)
    write_side(student, info, folder)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    student.tokenizer.save_pretrained(folder)
    if is_bi:
        student.label_tokenizer.save_pretrained(folder / LABELS_TOKENIZER)
    (folder / CARD).write_text(_card(config, info), encoding="utf-8")


def write_side(student: Student, info: StudentInfo, folder: Path) -> None:
    """Write what GLiNER cannot hold into the folder of a checkpoint: our configuration, thresholds, temperatures."""
    ours = to_mapping(student.config) | {"hidden": student.hidden, "initial": None}
    _write(folder / SIDE, {"version": VERSION, "student": ours, "info": dataclasses.asdict(info)})


def convert_pickle(source: Path, folder: Path) -> int:
    """Write `pytorch_model.bin` of a GLiNER checkpoint as safetensors into an existing folder, with its other files.

    Only tensors are read from the pickle (`weights_only`). Returns how many.
    Raises ArtifactError where it holds anything else, and for a variant that could not be read afterwards.
    """
    file = source / PICKLED
    if not is_gliner(source) or not file.is_file():
        raise ArtifactError(f"{source} must hold {GLINER} and {PICKLED}; nothing else is converted")
    gliner_config.student_config(source)
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, pickle's own among them
        raise ArtifactError(f"{file} cannot be read as plain tensors: {encoders.first_line(error)}") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ArtifactError(f"{file} is no table of tensors; nothing of it was converted")
    weights = {name: value.contiguous().clone() for name, value in loaded.items()}  # tied tensors share their memory
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    for pattern in ("*.json", "*.txt", "*.model", f"{LABELS_TOKENIZER}/*"):
        for path in source.glob(pattern):
            target = folder / path.relative_to(source)
            if path.is_file() and path.name != MANIFEST and not target.exists():
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(path.read_bytes())
    return len(weights)


def _ours(theirs: Mapping[str, Tensor], *, is_bi: bool) -> dict[str, Tensor]:
    """Weights under our names, without those that no score depends on. Names that we do not know stay as they are."""
    weights = {}
    unread = 0
    for name, tensor in theirs.items():
        useless = ".pooler." in name or name.endswith("embeddings.position_ids") or (is_bi and name.startswith("rnn."))
        if useless:
            unread += bool(tensor.any())  # those that we wrote ourselves are zeros
            continue
        ours = next((a for a, b in _NAMES.items() if name.startswith(b)), None)
        weights[name if ours is None else ours + name.removeprefix(_NAMES[ours])] = tensor
    if unread:
        note(f"{unread} weights of the checkpoint are read by nothing (pooling layers, an unused BiLSTM): left out")
    return weights


def _theirs(student: Student) -> dict[str, Tensor]:
    weights = {name: tensor.detach().to("cpu", torch.float32) for name, tensor in student.state_dict().items()}
    if student.config.architecture == "bi" and student.label_encoder is None:
        copies = {n.replace("text_", "label_", 1): t for n, t in weights.items() if n.startswith("text_encoder.")}
        weights |= copies
        weights |= _poolers(student.text_encoder.model, "label_encoder.model.")
    if student.label_encoder is not None:
        weights |= _poolers(student.label_encoder.model, "label_encoder.model.")
    weights |= _poolers(student.text_encoder.model, "text_encoder.model.")
    renamed = {}
    for name, tensor in weights.items():
        ours = next(prefix for prefix in _NAMES if name.startswith(prefix))
        renamed[_NAMES[ours] + name.removeprefix(ours)] = tensor.contiguous().clone()
    return renamed


def _poolers(model: Any, prefix: str) -> dict[str, Tensor]:
    """Zeros for the pooling layer that gliner builds into a model of this configuration."""
    from transformers import AutoModel

    with torch.device("meta"):
        whole = AutoModel.from_config(model.config, trust_remote_code=False)
    own = model.state_dict()
    wanted = whole.state_dict().items()
    return {prefix + n: torch.zeros(t.shape) for n, t in wanted if n.startswith("pooler.") and n not in own}


def _untie(weights: dict[str, Tensor]) -> bool:
    """Drop the copy that a shared label encoder was written as; False, and nothing dropped, where it is no copy."""
    copies = [name for name in weights if name.startswith("label_encoder.")]
    for name in copies:
        original = weights.get(name.replace("label_", "text_", 1))
        if original is None or not torch.equal(original, weights[name]):
            return False
    for name in copies:
        del weights[name]
    return True


def _encoder(folder: Path, raw: Mapping[str, Any] | None, name: str) -> tuple[Any, Any]:
    """Tokenizer and configuration of an encoder; from the hub what the checkpoint does not bring itself."""
    from transformers import AutoConfig

    place = str(folder) if (folder / "tokenizer_config.json").is_file() else name
    try:
        with encoders.quiet():
            tokenizer = encoders.tokenizer_at(place)
            if raw is None:
                config = encoders.config_at(name)
            else:
                fields = {key: value for key, value in raw.items() if key != "model_type"}
                config = AutoConfig.for_model(raw.get("model_type", "deberta-v2"), **fields)
            if config.model_type in _OTHER_ENCODERS or config.is_encoder_decoder:
                raise ArtifactError(
                    f"{folder}: its encoder is a {config.model_type}, which is not read; encoders like BERT, DeBERTa "
                    "and ModernBERT are"
                )
            return tokenizer, encoders.harmless(config)
    except KognerError:
        raise
    except OSError as error:
        raise KognerError(
            f"encoder {name!r} of the GLiNER checkpoint {folder} could not be made ({encoders.first_line(error)}); "
            "what the checkpoint does not bring itself comes from the model hub: check the network"
        ) from error
    except Exception as error:  # whatever transformers makes of files that are damaged
        raise ArtifactError(
            f"{folder}: {name!r} is not an encoder that this transformers can make ({type(error).__name__}: "
            f"{encoders.first_line(error)}); fetch the checkpoint again, or upgrade transformers"
        ) from error


def _fit_rows(weights: Mapping[str, Tensor], prefix: str, model: Any) -> None:
    """Give the model as many word embeddings as the checkpoint has: GLiNER resizes them when it adds its markers."""
    table = model.get_input_embeddings()
    (own,) = (name for name, module in model.named_modules() if module is table)
    found = weights.get(f"{prefix}{own}.weight")
    if found is not None and len(found) != table.num_embeddings:
        model.resize_token_embeddings(len(found), mean_resizing=False)


def _find_markers(found: gliner_config.GlinerConfig, tokenizer: Any, rows: int) -> None:
    """See that the tokenizer knows the marker of labels, as the row of word embeddings that was trained for it.

    Checkpoints of early versions come without a tokenizer: their encoder's own is used, and gliner added its markers
    to it; how many of them, the rows say.
    """

    def marker() -> int | None:
        number = tokenizer.convert_tokens_to_ids(found.ent_token)
        return None if number is None or number == tokenizer.unk_token_id else int(number)

    if marker() is None:
        added = {2: [found.ent_token, found.sep_token], 3: ["[FLERT]", found.ent_token, found.sep_token]}
        tokenizer.add_tokens(added.get(rows - len(tokenizer), []), special_tokens=True)
    number = marker()
    if number is None or number >= rows:
        raise ArtifactError(
            f"{found.file.parent}: its tokenizer has no token {found.ent_token!r}, the marker of labels, below {rows} "
            "(the rows of its word embeddings); it is not the tokenizer that the checkpoint was trained with"
        )
    if found.class_token not in (None, number):
        raise ArtifactError(
            f"{found.file}: class_token_index={found.class_token}, but the tokenizer's {found.ent_token!r} is {number}"
        )


def _config_of(model: Any) -> dict[str, Any]:
    config: dict[str, Any] = model.config.to_dict()
    return config | {"vocab_size": model.get_input_embeddings().num_embeddings}


def _write(file: Path, raw: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(raw, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _card(config: StudentConfig, info: StudentInfo) -> str:
    labels = list(info.types) or ["chemical", "disease"]
    lines = ["# A KoGNER student as a GLiNER checkpoint", ""]
    lines += ["`kogner.json` holds what GLiNER cannot: types, thresholds, KoGNER's configuration.", "", "```python"]
    lines += ["from gliner import GLiNER", "", 'model = GLiNER.from_pretrained("DIR", local_files_only=True)']
    if config.words == "kogner":
        lines += [
            "",
            "# The words that this student was trained on (GLiNER keeps IL-2-mediated as one word):",
            "from kogner.text import words",
            "",
            "model.data_processor.words_splitter = lambda text: ((text[a:b], a, b) for a, b in words(text))",
        ]
    lines += [f"model.predict_entities(text, {json.dumps(labels, ensure_ascii=False)})", "```", ""]
    return "\n".join(lines)
