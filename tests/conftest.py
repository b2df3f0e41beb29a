"""Shared fixtures: a tiny random encoder with its tokenizer, and the place of the shared data."""

from __future__ import annotations

import json
import os
import string
from pathlib import Path

import pytest
from hypothesis import settings

# Where nobody looks for the case that failed, tests draw the same cases at every run.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

SHARED = Path(os.environ.get("KOGNER_SHARED", Path(__file__).parents[1].parent / "shared"))
WORDS = (
    "the", "of", "and", "in", "aspirin", "fever", "caused", "lowered", "by", "rats", "ibuprofen", "headache",
    "morphine", "pain", "gene", "il", "with", "no", "was",
)  # fmt: skip


@pytest.fixture(autouse=True)
def heard():
    """A command that was run with --quiet does not silence the tests after it."""
    from kogner.progress import set_quiet

    yield
    set_quiet(False)


@pytest.fixture
def one_thread():
    """One thread: results are then equal bit for bit, and tiny matrices are not slowed down by waiting threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared corpora and graph; skips the test where it is absent."""
    if not (SHARED / "corpora").is_dir():
        pytest.skip(f"no shared data at {SHARED} (set KOGNER_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """A random two-layer BERT of width 32 with a WordPiece tokenizer, as a folder that `encoders.load` reads."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-encoder")
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *WORDS]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **special)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_student(tiny_encoder):
    """A student on the tiny encoder, in evaluation mode, the same each time."""
    import torch

    from kogner.config import StudentConfig
    from kogner.student.checkpoint import create

    torch.manual_seed(1)
    return create(StudentConfig(encoder=str(tiny_encoder), max_width=4, dropout=0.1)).eval()


COUNTS = pytest.StashKey[dict[str, int]]()
OUTCOMES = {"passed": ("passed", "xpassed"), "failed": ("failed", "error"), "skipped": ("skipped", "xfailed")}


def pytest_terminal_summary(terminalreporter, config):
    found = terminalreporter.stats
    config.stash[COUNTS] = {name: sum(len(found.get(one, ())) for one in of) for name, of in OUTCOMES.items()}


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """The counts as one JSON object, below pytest's own summary."""
    if COUNTS in config.stash:
        config.pluginmanager.get_plugin("terminalreporter").write_line(json.dumps(config.stash[COUNTS]))
