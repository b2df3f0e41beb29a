"""Who races in `benchmarks/annotate.py`, and on what: labels, texts, gliner, ourselves, and the bare text encoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Spans = list[set[tuple[int, int, str]]]
Words = Callable[[str], list[tuple[int, int]]]
Pieces = Callable[[list[str]], list[int]]
THRESHOLD = 0.5
WINDOW = 384
STEMS = """gene|protein|disease|chemical|drug|species|cell line|cell type|tissue|organ|variant|pathway|symptom|procedure
device|virus|bacterium|enzyme|receptor|hormone|antibody|vaccine|toxin|metabolite|biomarker"""
QUALIFIERS = "|human|animal|plant|viral|rare|common|synthetic|inherited|clinical|experimental|chronic"


def label_names(count: int) -> list[str]:
    """The two types of BC5CDR first, then as many other names of biomedical types as asked for."""
    names = ["chemical", "disease"]
    stems = STEMS.replace("\n", "|").split("|")
    names += [f"{qualifier} {stem}".strip() for qualifier in QUALIFIERS.split("|") for stem in stems]
    return list(dict.fromkeys(names))[:count]


def texts_of(corpus: Path, sentences: int, long: int, words_of: Words, pieces_of: Pieces, limit: int) -> Any:
    """Sentences of the test split, and long texts from all of its documents in a row.

    A long text has at most WINDOW words, and at most `limit` sub-tokens: gliner would cut it there without a word.
    pieces_of: number of sub-tokens of each word.
    """
    from kogner.data import corpora
    from kogner.text import sentences as split

    documents = corpora.load("corpus", str(corpus), "test").documents
    short = [doc.text[a:b] for doc in documents for a, b in split(doc.text) if len(words_of(doc.text[a:b])) <= WINDOW]
    whole = " ".join(" ".join(doc.text.split()) for doc in documents)
    spans = words_of(whole)
    sizes = pieces_of([whole[a:b] for a, b in spans])
    windows: list[str] = []
    first = 0
    while len(windows) < long:
        last, held = first, 0
        while last < len(spans) and last - first < WINDOW and held + sizes[last] <= limit:
            held += sizes[last]
            last += 1
        windows.append(whole[spans[first][0] : spans[last - 1][1]])
        first = last if last < len(spans) else len(windows) % WINDOW  # again from the start, cut at other places
    return short[:sentences], windows


def all_sentences(folder: Path) -> list[str]:
    """The distinct sentences of every corpus below a folder that can be read, in order."""
    from kogner.data import corpora
    from kogner.errors import KognerError
    from kogner.text import sentences as split

    found: dict[str, None] = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        for part in ("train", "dev", "test"):
            try:
                documents = corpora.load(place.name, str(place), part).documents
            except KognerError:  # not every corpus has every part
                continue
            found |= dict.fromkeys(doc.text[a:b] for doc in documents for a, b in split(doc.text))
    return list(found)


class Theirs:
    """A GLiNER model: `find(texts)` gives the spans of every text."""

    def __init__(self, folder: Path, words_of: Words, *, cached: bool, order: bool):
        from gliner import GLiNER

        self.model = GLiNER.from_pretrained(str(folder), local_files_only=True)
        self.model.eval()
        self.model.data_processor.words_splitter = lambda text: ((text[a:b], a, b) for a, b in words_of(text))
        self.cached, self.order = cached, order
        self.labels: list[str] = []

    def prepare(self, labels: list[str]) -> None:
        """Take the labels of the next race; what a user would keep between calls is made here."""
        self.labels = labels
        self.vectors = self.model.encode_labels(labels) if self.cached else None

    def find(self, texts: Sequence[str], size: int) -> Spans:
        """Spans of every text; size: texts per batch."""
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i])) if self.order else list(range(len(texts)))
        given = [texts[i] for i in order]
        if self.cached:
            found = self.model.batch_predict_with_embeds(
                given, self.vectors, self.labels, threshold=THRESHOLD, batch_size=size
            )
        else:
            found = self.model.inference(given, self.labels, threshold=THRESHOLD, batch_size=size)
        result: Spans = [set() for _ in texts]
        for i, entities in zip(order, found, strict=True):
            result[i] = {(e["start"], e["end"], e["label"]) for e in entities}
        return result


class Ours:
    """A KoGNER predictor on the same checkpoint, reading every text as a whole."""

    def __init__(self, folder: Path, *, precision: str):
        from kogner.annotate.predictor import Predictor
        from kogner.student.checkpoint import StudentInfo

        self.predictor = Predictor.load(folder)
        config = dataclasses.replace(self.predictor.student.config, context=WINDOW)
        self.predictor.student.config = config
        self.predictor.info = StudentInfo()  # no temperatures: GLiNER has none, and they order types
        self.precision = precision
        self.labels: list[str] = []

    def prepare(self, labels: list[str]) -> None:
        """Take the labels of the next race; what a user would keep between calls is made here."""
        self.labels = labels
        self.find(["Aspirin lowers fever."], 512)

    def find(self, texts: Sequence[str], size: int) -> Spans:
        """Spans of every text; size: padded sub-tokens per batch."""
        from kogner.annotate.predictor import Settings
        from kogner.records import Document

        # gliner decides about each text for itself
        settings = Settings(threshold=THRESHOLD, token_budget=size, precision=self.precision, agreement=0.0)
        documents = [Document(str(i), text) for i, text in enumerate(texts)]
        found = self.predictor.predict(documents, labels=self.labels, settings=settings)
        return [{(m.start, m.end, m.type) for m in document.mentions} for document in found]


class Fast:
    """fast-gliner (Rust and ONNX Runtime) on what gliner exports of a uni-encoder; its words are GLiNER's.

    It offers no choice of the threshold, which is THRESHOLD, nor of threads: ONNX Runtime takes all cores.
    """

    def __init__(self, folder: Path, theirs: Theirs):
        from fast_gliner import FastGLiNER

        theirs.model.export_to_onnx(folder / "onnx")
        self.model = FastGLiNER.from_pretrained(str(folder / "onnx"), onnx_path="model.onnx")
        self.labels: list[str] = []

    def prepare(self, labels: list[str]) -> None:
        """Take the labels of the next race."""
        self.labels = labels

    def find(self, texts: Sequence[str], size: int) -> Spans:
        """Spans of every text; size: texts per batch."""
        batches = [list(texts[i : i + size]) for i in range(0, len(texts), size)]
        found = [entities for batch in batches for entities in self.model.predict_entities(batch, self.labels)]
        return [{(e["start"], e["end"], e["label"]) for e in entities} for entities in found]


class Encoder:
    """The text encoder alone, over the texts and, in a uni-encoder, their prompt. packed: with the layers ours has."""

    def __init__(self, ours: Ours, precision: str, *, packed: bool):
        from kogner.annotate.engine import PRECISIONS
        from kogner.annotate.packing import can_pack, prepared

        self.student = ours.predictor.student
        model = self.student.text_encoder.model
        self.model = prepared(model, dtype=PRECISIONS[precision], pack=packed and can_pack(PRECISIONS[precision]))
        self.rows: list[Any] = []

    def prepare(self, labels: list[str]) -> None:
        """Take the labels of the next race, which a uni-encoder reads before each text."""
        from kogner.student.encoder import Prompt

        encoded = self.student.encode_labels(labels)
        self.prompt = encoded.ids if isinstance(encoded, Prompt) else None

    def load(self, texts: Sequence[str], words_of: Words) -> None:
        """Make the sub-tokens, outside the clock."""
        from kogner.student.encoder import tokenise

        words = [[text[a:b] for a, b in words_of(text)] for text in texts]
        self.rows = sorted(tokenise(self.student.tokenizer, words), key=lambda row: -len(row.ids))

    def find(self, texts: Sequence[str], size: int) -> Spans:
        """Read what was loaded; gives no spans. size: padded sub-tokens per batch."""
        import torch
        from torch.nn.functional import pad

        from kogner.student.encoder import collate

        start, prompt = 0, self.prompt
        with torch.inference_mode():
            while start < len(self.rows):
                count = max(1, size // (len(self.rows[start].ids) + (0 if prompt is None else len(prompt))))
                batch = collate(self.rows[start : start + count], pad_id=self.student.tokenizer.pad_token_id or 0)
                ids, mask = batch.ids, batch.mask
                if prompt is not None:
                    ids = torch.cat([ids[:, :1], prompt.expand(len(ids), -1), ids[:, 1:]], dim=1)
                    mask = pad(mask, (len(prompt), 0), value=1)
                self.model(input_ids=ids, attention_mask=mask)
                start += count
        return []


def contenders_of(model: Path, words: Words, *, sorted_too: bool, fast: bool = False) -> dict[str, Any]:
    """Everyone who races on a checkpoint, by name. sorted_too: gliner with sorted texts as well; fast: fast-gliner."""
    from kogner.hardware import bf16_is_fast

    ours = Ours(model, precision="fp32")
    bi = ours.predictor.student.config.architecture == "bi"
    contenders: dict[str, Any] = {"gliner": Theirs(model, words, cached=False, order=False)}
    if bi:
        contenders["gliner_cached"] = Theirs(model, words, cached=True, order=False)
    if bi and sorted_too:
        contenders["gliner_cached_sorted"] = Theirs(model, words, cached=True, order=True)
    if fast:
        contenders["fast_gliner"] = Fast(model, contenders["gliner"])
    contenders["ours_fp32"] = ours
    precisions = ["fp32"]
    if bf16_is_fast("cpu"):
        precisions.append("bf16")
        contenders["ours_bf16"] = Ours(model, precision="bf16")
    for precision in precisions:
        contenders[f"encoder_{precision}"] = Encoder(ours, precision, packed=False)
        contenders[f"packed_encoder_{precision}"] = Encoder(ours, precision, packed=True)
    return contenders
