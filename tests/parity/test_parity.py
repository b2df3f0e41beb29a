"""Parity with gliner 0.2.29: random checkpoints of both sides give the same logits and entities on the other.

Needs gliner, which asks for an older transformers than ours: `make parity` runs this in an environment of its own.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from kogner import artifacts
from kogner.annotate.predictor import Predictor, Settings
from kogner.config import MAX_WORDS, StudentConfig
from kogner.records import Document
from kogner.student import checkpoint, gliner
from kogner.student.checkpoint import StudentInfo
from kogner.student.encoder import tokenise

# gliner's `flat_ner` and `multi_label`, by our settings.
MODES = [(nested, multi_label) for nested in (False, True) for multi_label in (False, True)]

pytestmark = pytest.mark.parity
LABELS = ["chemical", "disease", "cell line", "gene"]
TOLERANCE = 1e-4
WORDS = [
    "aspirin", "fever", "caused", "lowered", "rats", "il-2", "tnf_alpha", "headache", "morphine", "pain", "gene",
    "with", "was", "in", "the", "of", "receptor", "binding", "expression", "kinase", "p53", "acute", "renal",
    "failure", "patients", "treated", "dose", "mice", "induced", "inhibitor",
]  # fmt: skip


DRAW = random.Random(0)
TEXTS = [" ".join(DRAW.choices(WORDS, k=DRAW.randint(10, 24))) for _ in range(200)]
MARKED = [
    "IL-2",
    "anti-TNF",
    "p53-/-",
    "(aspirin),",
    "e.g.",
    "5.8",
    "Fever",
    "HIV-1-induced",
    "renal/acute",
    "Morphine;",
]


def sentence() -> str:
    """As people write: a capital first, hyphens and marks inside, a full stop."""
    words = DRAW.choices(WORDS, k=DRAW.randint(4, 8)) + DRAW.choices(MARKED, k=2)
    DRAW.shuffle(words)
    return " ".join(["The", *words]) + DRAW.choice([".", "!", "?"])


PROSE = [" ".join(sentence() for _ in range(DRAW.randint(2, 3))) for _ in range(40)]


@dataclass(frozen=True)
class Case:
    """A checkpoint: encoder and its width, the student's width, span width, layers of the BiLSTM, label encoder."""

    encoder: str
    width: int
    hidden: int
    span: int
    rnn: int = 0
    labels: tuple[str, int] | None = None

    def __str__(self) -> str:
        labels = "" if self.labels is None else f"-{self.labels[0]}{self.labels[1]}"
        return f"{self.encoder}{self.width}{labels}-to{self.hidden}-k{self.span}-rnn{self.rnn}"


UNI = [
    Case("bert", 32, 32, 4),
    Case("bert", 32, 24, 8, rnn=1),
    Case("bert", 48, 48, 12, rnn=2),
    Case("deberta", 32, 32, 12, rnn=1),
    Case("deberta", 32, 48, 8),
]
BI = [
    Case("bert", 32, 32, 4, labels=("bert", 32)),
    Case("bert", 32, 24, 8, rnn=1, labels=("bert", 40)),
    Case("deberta", 32, 32, 12, rnn=1, labels=("bert", 32)),
    Case("deberta", 32, 48, 8, labels=("deberta", 40)),
    Case("modernbert", 32, 24, 8, labels=("bert", 40)),
]


@pytest.fixture(scope="session")
def theirs():
    return pytest.importorskip("gliner", reason="gliner is not installed here; run make parity")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """A function that makes the folder of a random encoder: kind and width."""
    made: dict[tuple[str, int], Path] = {}

    def make(kind: str, width: int) -> Path:
        if (kind, width) not in made:
            folder = tmp_path_factory.mktemp(f"{kind}{width}")
            tokenizer = unigram() if kind == "deberta" else wordpiece()
            tokenizer.save_pretrained(folder)
            torch.manual_seed(width)
            model(kind, width, len(tokenizer)).save_pretrained(folder)
            made[kind, width] = folder
        return made[kind, width]

    return make


def wordpiece():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *WORDS[:12]]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=512, **special)


def unigram():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "▁", *letters, *(f"▁{word}" for word in WORDS[::2]), "in", "al"]
    scores = [(piece, -0.1 * len(piece)) for piece in dict.fromkeys(pieces)]
    backend = Tokenizer(models.Unigram(scores, unk_id=3))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=512, **special)


def model(kind: str, width: int, rows: int):
    from transformers import (
        BertConfig,
        BertModel,
        DebertaV2Config,
        DebertaV2Model,
        ModernBertConfig,
        ModernBertModel,
    )

    sizes = {"vocab_size": rows, "hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 2 * width, "max_position_embeddings": 512, "initializer_range": 0.2}
    if kind == "bert":
        return BertModel(BertConfig(**sizes))
    if kind == "modernbert":
        special = dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id"), 0)
        special |= dict.fromkeys(("eos_token_id", "sep_token_id"), 3)
        return ModernBertModel(ModernBertConfig(**sizes, **special, local_attention=16))
    # As in DeBERTa-v3: relative positions in logarithmic buckets, shared with the contents' projections.
    relative = {"relative_attention": True, "position_buckets": 32, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0}
    relative |= {"share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
    return DebertaV2Model(DebertaV2Config(**sizes, **relative))


def spread(type_head, logits: list[torch.Tensor]) -> None:
    """Scale a random head, in which logits are linear, so that scores neither cling to 0.5 nor reach 1."""
    scale = 1.5 / torch.cat([of.flatten() for of in logits]).std()
    with torch.no_grad():
        for parameter in type_head[3].parameters():
            parameter.mul_(scale)


def their_checkpoint(theirs, case: Case, encoder, folder: Path) -> Path:
    """A checkpoint made and written by gliner, with random heads."""
    settings = {
        "model_name": str(encoder(case.encoder, case.width)), "hidden_size": case.hidden, "max_width": case.span,
        "num_rnn_layers": case.rnn, "span_mode": "markerV0", "dropout": 0.1,
    }  # fmt: skip
    if case.labels is not None:
        settings["labels_encoder"] = str(encoder(*case.labels))
    torch.manual_seed(0)
    made = theirs.GLiNER.from_config(settings, load_tokenizer=True, backbone_from_pretrained=True)
    spread(made.model.prompt_rep_layer, their_logits(made.eval(), TEXTS[:16]))
    made.save_pretrained(folder, safe_serialization=True)
    return folder


def our_student(case: Case, encoder):
    config = StudentConfig(
        architecture="uni" if case.labels is None else "bi",
        encoder=str(encoder(case.encoder, case.width)),
        label_encoder="shared" if case.labels in (None, (case.encoder, case.width)) else str(encoder(*case.labels)),
        hidden=case.hidden,
        max_width=case.span,
        rnn_layers=case.rnn if case.labels is None else 0,
        words="gliner",
        context=MAX_WORDS,
    )
    torch.manual_seed(0)
    student = checkpoint.create(config).eval()
    spread(student.type_head, [logits for logits, _ in our_logits(student, TEXTS[:16])])
    return student


def export(student, folder: Path, info: StudentInfo | None = None) -> Path:
    with artifacts.writing(folder, kind=gliner.KIND, version=gliner.FORMAT) as building:
        gliner.save(student, info or StudentInfo(), building)
    return folder


def read_by_gliner(theirs, folder: Path):
    return theirs.GLiNER.from_pretrained(str(folder), local_files_only=True, strict=True).eval()


def their_logits(reader, texts: list[str]) -> list[torch.Tensor]:
    prepared = reader.prepare_batch(texts, LABELS)
    batch = reader.collate_batch(prepared["input_x"], LABELS)
    logits = reader.run_batch(batch)[0]
    return [logits[row, : len(text.split())] for row, text in enumerate(texts)]


def our_logits(student, texts: list[str]):
    windows = tokenise(student.tokenizer, [text.split() for text in texts])
    with torch.inference_mode():
        scores, _ = student(student.collate(windows), student.encode_labels(LABELS))
    cut = [(scores.logits[row, : len(text.split())], scores.valid[row]) for row, text in enumerate(texts)]
    return [(logits, valid[: len(logits)]) for logits, valid in cut]


def compare(reader, student, record_property) -> None:
    texts = TEXTS[:16]
    scores = []
    for theirs, (ours, valid) in zip(their_logits(reader, texts), our_logits(student, texts), strict=True):
        torch.testing.assert_close(ours[valid], theirs[valid], atol=TOLERANCE, rtol=TOLERANCE)
        scores.append(torch.sigmoid(ours[valid]).flatten())
    threshold = gap(torch.cat(scores))
    texts = [*TEXTS, *PROSE]
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    predictor = Predictor(student)
    counts = []
    for nested, multi_label in MODES:
        found = reader.inference(
            texts, LABELS, threshold=threshold, batch_size=16, flat_ner=not nested, multi_label=multi_label
        )
        expected = [{(e["start"], e["end"], e["label"]): e["score"] for e in of} for of in found]
        settings = Settings(threshold=threshold, nested=nested, multi_label=multi_label)
        got = predictor.predict(documents, labels=LABELS, settings=settings)
        ours = [{mention.key: mention.score for mention in document.mentions} for document in got]
        differing = sum(not same_but_for_rounding(*pair, threshold) for pair in zip(ours, expected, strict=True))
        # Where spans may nest, a saturated head has hundreds of candidates a text that score alike.
        assert differing <= (4 if nested else 2), f"{differing} of {len(texts)} texts differ by rounding"
        counts.append(sum(map(len, expected)))
    assert counts[0] >= 1000
    flat, flat_multi, nested, nested_multi = counts
    assert flat < flat_multi < nested_multi, "several labels a span must leave more to compare"
    assert flat < nested < nested_multi, "nesting must leave more to compare"
    record_property("entities_compared", sum(counts))


def same_but_for_rounding(ours: dict, wanted: dict, threshold: float) -> bool:
    """Whether both sides found the same.

    Otherwise rounding may have chosen one of two overlapping spans of equal score here and the other there, and others
    after them; or moved a span across the threshold. So the best of what only one side has must have its like on the
    other, or lie at the threshold; and what it does not overlap must have a reason of its own.
    """
    sides = [{key: a[key] for key in a.keys() - b.keys()} for a, b in ((ours, wanted), (wanted, ours))]
    if not any(sides):
        return True
    while any(sides):
        here, there = sorted(sides, key=lambda side: -max(side.values(), default=0))
        top = max(here, key=here.__getitem__)
        rivals = [score for key, score in there.items() if overlap(key, top)]
        assert min(abs(score - here[top]) for score in (*rivals, threshold)) < TOLERANCE
        gone = {top} | {key for key in there if overlap(key, top)}
        while more := {key for side in sides for key in side if any(overlap(key, one) for one in gone)} - gone:
            gone |= more
        sides = [{key: score for key, score in side.items() if key not in gone} for side in sides]
    return False


def overlap(one: tuple, other: tuple) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def gap(scores: torch.Tensor) -> float:
    """A threshold that half of all spans pass, in the widest gap thereabouts: rounding moves no span across it."""
    ordered = scores.double().sort().values
    near = ordered[int(0.48 * len(ordered)) : int(0.52 * len(ordered))]
    at = int(near.diff().argmax())
    return float((near[at] + near[at + 1]) / 2)


@pytest.mark.parametrize("case", [*UNI, *BI], ids=str)
def test_their_checkpoint_into_ours(theirs, case, encoder, tmp_path, record_property):
    folder = their_checkpoint(theirs, case, encoder, tmp_path / "theirs")
    student, _ = checkpoint.open_student(folder)
    assert student.config.words == "gliner"
    compare(read_by_gliner(theirs, folder), student, record_property)


@pytest.mark.parametrize("case", [*UNI, *BI], ids=str)
def test_our_student_into_theirs_and_back(theirs, case, encoder, tmp_path, record_property):
    student = our_student(case, encoder)
    info = StudentInfo(types=("chemical",), thresholds={"chemical": 0.3}, base="random")
    folder = export(student, tmp_path / "ours", info)
    reader = read_by_gliner(theirs, folder)
    compare(reader, student, record_property)
    back, back_info = checkpoint.open_student(folder)
    assert back_info == info
    assert_same(student, back)
    reader.save_pretrained(tmp_path / "again", safe_serialization=True)
    (tmp_path / "again" / "kogner.json").write_bytes((folder / "kogner.json").read_bytes())
    assert_same(student, checkpoint.open_student(tmp_path / "again")[0])


def assert_same(student, back) -> None:
    before, after = student.state_dict(), back.state_dict()
    assert before.keys() == after.keys()
    assert [name for name, tensor in before.items() if not torch.equal(tensor, after[name])] == []


@pytest.mark.parametrize("case", [UNI[0], BI[0]], ids=str)
def test_beyond_384_words_gliner_reads_nothing_and_we_go_on(theirs, case, encoder, tmp_path):
    """What lies there is not compared: gliner cuts it off, with a warning."""
    folder = their_checkpoint(theirs, case, encoder, tmp_path / "theirs")
    text = " ".join(WORDS[number % 12] for number in range(450)).replace("il-2", "rats").replace("tnf_alpha", "rats")
    ends = [at for at, mark in enumerate(text) if mark == " "]
    (found,) = read_by_gliner(theirs, folder).inference([text], LABELS, threshold=0.3)
    assert max(entity["end"] for entity in found) <= ends[MAX_WORDS - 1]
    ours = Predictor(checkpoint.open_student(folder)[0]).predict_text(
        text, labels=LABELS, settings=Settings(threshold=0.3)
    )
    assert any(mention.start > ends[MAX_WORDS - 1] for mention in ours)


def test_words_of_a_kogner_student_can_be_given_to_gliner(theirs, encoder, tmp_path):
    from kogner.text import words

    case = BI[0]
    reader = read_by_gliner(theirs, export(our_student(case, encoder), tmp_path / "ours"))
    reader.data_processor.words_splitter = lambda text: ((text[a:b], a, b) for a, b in words(text))
    assert reader.prepare_inputs(["il-2-mediated"])[0] == [["il", "-", "2", "-", "mediated"]]
    assert reader.inference(["il-2-mediated"], LABELS, threshold=1e-6)[0]
