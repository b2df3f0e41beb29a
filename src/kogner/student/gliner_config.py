"""`gliner_config.json`: which GLiNER checkpoints are read, and what each of its fields means to us; loads no torch.

Format of gliner 0.2.29. Read are span checkpoints with marker `markerV0`: uni-encoders (types and text in one pass,
with or without a BiLSTM) and bi-encoders (types by an encoder of their own). Every field that changes what the model
computes has to have the one value that our student computes; a field that is not known may be such a one, so that it
is refused unless it is off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kogner import encoders
from kogner.config import MAX_CONTEXT, MAX_WORDS, StudentConfig
from kogner.errors import ArtifactError, ConfigError
from kogner.student.layout import GLINER, SIDE, read_json, side_file

READ = "KoGNER reads span checkpoints (markerV0), uni- and bi-encoder"

# Fields of the variants that are not read, with the variant's name: any value but those given is refused. Where None is
# not among them the field is on by default, and null or false switches it off.
_VARIANTS: dict[str, tuple[tuple[Any, ...], str]] = {
    "labels_decoder": ((None,), "a decoder variant (it generates label names)"),
    "relations_layer": ((None,), "a relation variant"),
    "post_fusion_schema": ((None, ""), "a poly-encoder (its cross-fuser mixes labels and text)"),
    "decoder_config": ((None,), "a streaming variant (its text encoder is a causal decoder)"),
    "span_encoder_config": ((None,), "a variant with a context encoder before its spans"),
    "precomputed_prompts_mode": ((None, False), "a checkpoint with its labels compiled in"),
    "fuse_layers": ((None, False), "a variant that fuses all layers of its encoder"),
    "subtoken_pooling": (("first",), "a variant that does not read a word by its first sub-token"),
    "embed_ent_token": ((True,), "a variant that reads a label by the token after its marker"),
    "words_splitter_type": (("whitespace",), "a checkpoint with a word splitter of another kind"),
}
_MODEL_TYPES = {None, "gliner", "gliner_base", "gliner_uni_encoder", "gliner_uni_encoder_span", "gliner_bi_encoder",
                "gliner_bi_encoder_span"}  # fmt: skip
_READ = {
    "model_name", "max_width", "hidden_size", "dropout", "span_mode", "vocab_size", "max_len", "num_rnn_layers",
    "class_token_index", "encoder_config", "ent_token", "sep_token", "labels_encoder", "labels_encoder_config",
    "model_type", "has_rnn",
}  # fmt: skip
# Fields that say how a checkpoint was trained, or that transformers writes into every configuration.
_HARMLESS = {
    "name", "fine_tune", "max_neg_type_ratio", "max_types", "num_post_fusion_layers", "represent_spans",
    "neg_spans_ratio", "id_to_classes", "_attn_implementation", "attn_implementation", "full_decoder_context",
    "blank_entity_prob", "decoder_mode", "triples_layer", "labels_decoder_config", "embed_rel_token", "rel_token_index",
    "rel_token", "augment_data_prob", "augment_ent_drop_prob", "augment_rel_drop_prob", "augment_add_other_prob",
    "rel_id_to_classes", "scheduler_type", "warmup_ratio", "random_drop", "shuffle_types", "prev_path", "root_dir",
    "freeze_token_rep", "max_grad_norm", "size_sup", "num_workers", "gradient_accumulation_steps", "optimizer",
    "decoder_type", "size", "device", "seed", "bf16", "fp16", "num_epochs", "project", "run_name", "report_to",
    "transformers_version", "architectures", "torch_dtype", "dtype", "_name_or_path", "return_dict", "is_composition",
    "output_hidden_states", "output_attentions", "use_cache", "id2label", "label2id", "chunk_size_feed_forward",
    "problem_type", "tie_word_embeddings", "pad_token_id", "bos_token_id", "eos_token_id", "tokenizer_class",
    "initializer_range", "return_unused_kwargs", "label_smoothing", "masking", "negatives", "label_aliases",
    # Notes of whoever published it, and of where it was trained.
    "gpu", "gpus", "run_time", "runtime", "description", "tags", "version", "gliner_version", "license", "language",
    "languages", "author", "authors", "citation", "url", "homepage", "base_model", "datasets", "date", "created",
    "notes", "comment", "task", "pipeline_tag", "library_name", "metrics", "trained_on", "wandb", "framework",
    # What transformers 4 writes into every configuration: of generation and of models that our encoders are not.
    "add_cross_attention", "bad_words_ids", "begin_suppress_tokens", "cross_attention_hidden_size",
    "decoder_start_token_id", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "is_decoder",
    "is_encoder_decoder", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups",
    "num_beams", "num_return_sequences", "output_scores", "prefix", "pruned_heads", "remove_invalid_values",
    "repetition_penalty", "return_dict_in_generate", "suppress_tokens", "task_specific_params", "temperature",
    "tf_legacy_loss", "tie_encoder_decoder", "top_k", "top_p", "torchscript", "typical_p", "use_bfloat16",
}  # fmt: skip
_TRAINING = re.compile(
    r"(lr|loss|focal|eval|save|log|train|val|test|holdout|weight_decay|num_steps|warmup)(_.*)?"
    r"|.*_(lr|coef|every|steps|dir|path|file|batch_size)"
)


@dataclass(frozen=True)
class GlinerConfig:
    """The fields of a `gliner_config.json` that our student needs.

    labels_encoder: name of the label encoder of a bi-encoder, None in a uni-encoder. encoder_config,
    labels_encoder_config: configurations of both as transformers writes them, None where only the name is given.
    class_token: id of the label marker that the file asks for, None where the tokenizer decides. context: words it
    reads at once, of a longer text gliner drops the rest. off: fields that are not known, but false, 0 or empty.
    """

    file: Path
    model_name: str
    labels_encoder: str | None
    encoder_config: dict[str, Any] | None
    labels_encoder_config: dict[str, Any] | None
    hidden: int
    max_width: int
    dropout: float
    rnn_layers: int
    ent_token: str
    sep_token: str
    class_token: int | None
    context: int
    off: tuple[str, ...]

    @property
    def is_bi(self) -> bool:
        """Whether labels have an encoder of their own."""
        return self.labels_encoder is not None

    def to_student(self) -> StudentConfig:
        """The student that computes what this checkpoint computes. Raises ArtifactError where there is none."""
        try:
            return StudentConfig(
                architecture="bi" if self.is_bi else "uni",
                encoder=self.model_name,
                label_encoder=self.labels_encoder or "shared",
                max_width=self.max_width,
                hidden=self.hidden,
                dropout=self.dropout,
                rnn_layers=0 if self.is_bi else self.rnn_layers,
                ent_token=self.ent_token,
                sep_token=self.sep_token,
                words="gliner",
                context=self.context,
            )
        except ConfigError as error:
            raise ArtifactError(f"{self.file}: {error}") from error


def read(folder: Path) -> GlinerConfig:
    """Read and check the configuration of a GLiNER checkpoint.

    Raises ArtifactError that names the variant where it is none that we read, the field where it is not known, and
    the value where it is not of its type.
    """
    file = folder / GLINER
    raw = read_json(file)
    _check_variant(raw, file)
    off = _check_unknown(raw, file)
    if (folder / "adapter_config.json").is_file():
        raise ArtifactError(f"{folder} holds an adapter (adapter_config.json); merge it into the weights first")

    def value(name: str, kind: type, default: Any) -> Any:
        found = raw.get(name, default)
        if found is None and default is None:
            return None
        if kind is float and isinstance(found, int) and not isinstance(found, bool):
            found = float(found)
        if not isinstance(found, kind) or isinstance(found, bool):
            raise ArtifactError(f"{file}: {name} must be of type {kind.__name__}, not {found!r}")
        return found

    class_token = value("class_token_index", int, -1)
    explicit = class_token >= 0 and value("vocab_size", int, -1) >= 0  # gliner trusts the index only then
    return GlinerConfig(
        file=file,
        model_name=value("model_name", str, "microsoft/deberta-v3-small"),
        labels_encoder=value("labels_encoder", str, None) or None,
        encoder_config=value("encoder_config", dict, None),
        labels_encoder_config=value("labels_encoder_config", dict, None),
        hidden=value("hidden_size", int, 512),
        max_width=value("max_width", int, 12),
        dropout=value("dropout", float, 0.4),
        # Before num_rnn_layers there was has_rnn, and before that every checkpoint had the BiLSTM.
        rnn_layers=max(value("num_rnn_layers", int, int(raw.get("has_rnn", True) is not False)), 0),
        ent_token=value("ent_token", str, "<<ENT>>"),
        sep_token=value("sep_token", str, "<<SEP>>"),
        class_token=class_token if explicit else None,
        context=min(max(value("max_len", int, MAX_WORDS), 1), MAX_CONTEXT),
        off=off,
    )


def student_config(folder: Path) -> StudentConfig:
    """The student's configuration in a GLiNER checkpoint: what KoGNER wrote beside it, or what GLiNER's says.

    Raises ArtifactError as `read` does, and where both files contradict each other.
    """
    found = read(folder)
    side = side_file(folder)
    if side is None:
        return found.to_student()
    ours, theirs = side[0], found.to_student()
    for name in ("architecture", "max_width", "hidden", "rnn_layers"):
        a, b = getattr(ours, name), getattr(theirs, name)
        if a != b:
            raise ArtifactError(
                f"{folder / SIDE} says {name}={a}, but {GLINER} says {b}: the checkpoint was changed after KoGNER "
                f"wrote it; remove {SIDE} to read it as GLiNER's"
            )
    return ours


def to_gliner(
    config: StudentConfig,
    *,
    hidden: int,
    encoder_config: dict[str, Any],
    labels_encoder_config: dict[str, Any] | None,
    class_token: int | None,
    vocabulary: int | None,
) -> dict[str, Any]:
    """The content of `gliner_config.json` for a student; `to_student` of it gives back the same architecture.

    class_token, vocabulary: id of the label marker and rows of the word embeddings; None in a bi-encoder, whose
    prompts hold no markers.
    """
    is_bi = config.architecture == "bi"
    labels_encoder = encoders.public_name(config.encoder if config.label_encoder == "shared" else config.label_encoder)
    return {
        "model_type": "gliner_bi_encoder_span" if is_bi else "gliner_uni_encoder_span",
        "model_name": encoders.public_name(config.encoder),
        "name": "KoGNER",
        "labels_encoder": labels_encoder if is_bi else None,
        "encoder_config": encoder_config,
        **({"labels_encoder_config": labels_encoder_config} if is_bi else {}),
        "span_mode": "markerV0",
        "max_width": config.max_width,
        "hidden_size": hidden,
        "dropout": config.dropout,
        "num_rnn_layers": config.rnn_layers,
        "subtoken_pooling": "first",
        "post_fusion_schema": "",
        "fuse_layers": False,
        "embed_ent_token": True,
        "ent_token": config.ent_token,
        "sep_token": config.sep_token,
        "class_token_index": -1 if class_token is None else class_token,
        "vocab_size": -1 if vocabulary is None else vocabulary,
        "words_splitter_type": "whitespace",
        "max_len": config.window,
        "fine_tune": True,
    }


def _check_variant(raw: dict[str, Any], file: Path) -> None:
    mode = raw.get("span_mode", "markerV0")
    if mode in ("token_level", "token-level"):
        raise ArtifactError(f"{file}: span_mode={mode!r} is a token-level variant, which is not read; {READ}")
    kind = raw.get("model_type")
    if kind not in _MODEL_TYPES:
        raise ArtifactError(f"{file}: model_type={kind!r} is a variant that is not read; {READ}")
    for name, (allowed, variant) in _VARIANTS.items():
        if name in raw and raw[name] not in allowed:
            raise ArtifactError(f"{file}: {name}={raw[name]!r} makes it {variant}, which is not read; {READ}")
    if mode != "markerV0":
        raise ArtifactError(f"{file}: span_mode={mode!r} is a span representation that is not read; {READ}")


def _check_unknown(raw: dict[str, Any], file: Path) -> tuple[str, ...]:
    """Refuse what is not known and on; returns what is not known and looks off."""
    off = []
    for name, value in raw.items():
        known = name in _READ or name in _VARIANTS or name in _HARMLESS or _TRAINING.fullmatch(name)
        if known or value is None:
            continue
        if value not in (False, 0, "", [], {}):
            raise ArtifactError(
                f"{file}: field {name!r} (value {str(value)[:60]!r}) is not known and may change what the model "
                "computes; it may come from a gliner newer than 0.2.29: upgrade KoGNER. If it only says how the model "
                "was trained, remove it from the file"
            )
        off.append(name)
    return tuple(off)
