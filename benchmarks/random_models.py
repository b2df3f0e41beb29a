"""Checkpoints of published sizes with random weights, for timings: what a weight says costs no time.

bert-base: a bi-encoder on BERT base. deberta-v3-small: a uni-encoder with a BiLSTM, the size of gliner_small-v2.1, in
GLiNER's words, which are the only ones that fast-gliner has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kogner.annotate.predictor import Predictor, Settings

WORDS = {"bert-base": "kogner", "deberta-v3-small": "gliner"}


def make(name: str, like: Path, folder: Path, texts: list[str], labels: list[str]) -> Path:
    """A GLiNER checkpoint folder below `folder`, with the tokenizer of the checkpoint `like`.

    About three entities per text reach a score of 0.5, for these texts and labels.
    """
    import torch
    import transformers

    from kogner import artifacts
    from kogner.config import MAX_WORDS, StudentConfig
    from kogner.student import checkpoint, gliner
    from kogner.student.checkpoint import StudentInfo

    if name not in WORDS:
        raise SystemExit(f"no model {name!r}; there are {', '.join(WORDS)}")
    known = transformers.AutoTokenizer.from_pretrained(str(like))
    special = {key: known.special_tokens_map[key] for key in ("unk_token", "pad_token", "cls_token", "sep_token")}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=known.backend_tokenizer, model_max_length=512, **special
    )
    rows = len(tokenizer)
    torch.manual_seed(0)
    model: Any
    if name == "bert-base":
        model = transformers.BertModel(transformers.BertConfig(vocab_size=rows))
        shape: dict[str, Any] = {"architecture": "bi", "hidden": 768}
    else:
        settings: dict[str, Any] = {
            "vocab_size": rows, "hidden_size": 768, "num_hidden_layers": 6, "num_attention_heads": 12,
            "intermediate_size": 3072, "max_position_embeddings": 512, "relative_attention": True,
            "position_buckets": 256, "type_vocab_size": 0, "norm_rel_ebd": "layer_norm", "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
        }  # fmt: skip
        model = transformers.DebertaV2Model(transformers.DebertaV2Config(**settings))
        shape = {"architecture": "uni", "hidden": 512, "rnn_layers": 1}
    model.save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    config = StudentConfig(encoder=str(folder / "encoder"), words=WORDS[name], context=MAX_WORDS, **shape)
    student = checkpoint.create(config).eval()
    _centre(student, texts, labels)
    with artifacts.writing(folder / name, kind=gliner.KIND, version=gliner.FORMAT) as building:
        gliner.save(student, StudentInfo(), building)
    return folder / name


def _centre(student: Any, texts: list[str], labels: list[str]) -> None:
    """Move all logits so that 0 lies in a wide gap between two of them: rounding moves none across it.

    One number of the span vectors and of the type vectors is made constant; their product is the shift.
    """
    import torch

    span, kind = student.span_head.out[3], student.type_head[3]
    with torch.no_grad():
        for layer in (span, kind):
            layer.weight[0] = 0
            layer.bias[0] = 0
    settings = Settings(threshold=1e-9)
    predictor = Predictor(student)
    found = [predictor.predict_text(text, labels=labels, settings=settings) for text in texts]
    logits = torch.tensor(sorted((mention.score for mentions in found for mention in mentions), reverse=True)).logit()
    if len(logits) < 4:
        raise SystemExit("the model finds next to nothing in these texts, at any threshold")
    last = min(len(logits) - 1, 3 * len(texts))
    near = logits[last // 2 : last + 1]
    at = int((near[:-1] - near[1:]).argmax())
    middle = float(near[at] + near[at + 1]) / 2
    with torch.no_grad():
        span.bias[0] = abs(middle) ** 0.5
        kind.bias[0] = -middle / abs(middle) ** 0.5
