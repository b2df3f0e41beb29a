"""What a recipe says, section by section: frozen dataclasses that check their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kogner.errors import ConfigError

PARTS = ("Z", "Z'", "Z''")  # of a teacher's vector: text, Graph Transformer, TransR
CONTROLS = ("none", "shuffled", "vocabulary")  # of weights by entity, `kogner.train.entity_weights.learn`
MAX_WORDS = 384  # words of one window of text, as in GLiNER
MAX_CONTEXT = 8192  # words that a student can be told to read at once; its encoder may read fewer sub-tokens

# Default of what a student's `initial` decides. Only a recipe that names an `initial` can hold it; in every other
# configuration its value stands, so that the fields need no None in their types.
AS_INITIAL: Any = None


@dataclass(frozen=True)
class FeaturesConfig:
    """Z: a text encoder over name and description of each entity. `encoder`: alias, local path or hub id.

    token_budget: padded tokens of a batch on a processor thread (its cache is the limit); a GPU takes 32 times as many.
    """

    encoder: str = "minilm"
    max_length: int = 64
    token_budget: int = 2048
    precision: str = "auto"

    def __post_init__(self) -> None:
        _positive(self, "max_length", "token_budget")
        _one_of(self, "precision", ("auto", "fp32", "bf16"))


@dataclass(frozen=True)
class UnimpConfig:
    """Z': the Graph Transformer of Shi et al. 2020 (arXiv 2009.03509), pretrained by node classification.

    fanouts: neighbours sampled per node in training, from the labelled nodes outwards.
    max_neighbours: cap on the neighbours of a node in the final run over the whole graph; None takes all.
    class_balanced: rare types weigh more in the loss. seed_balance: rare types are drawn more often instead; a type's
    share of a batch goes with its number of nodes to the power of 1 - seed_balance: 0 = as they are, each once per
    epoch; 0.5 = square root; 1 = all types alike.
    label_share: masked label prediction (section 3.2 of the paper): of the training nodes in a batch, seeds apart, the
    share whose types are told; 0 = none. The final run tells half of them at a time, so 0.5 is what it is like.
    """

    layers: int = 2
    hidden: int = 128
    heads: int = 4
    dropout: float = 0.3
    fanouts: tuple[int, ...] = (10, 5)
    batch_size: int = 1024
    steps: int = 1500
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    class_balanced: bool = True
    seed_balance: float = 0.0
    label_share: float = 0.0
    max_neighbours: int | None = None
    valid_share: float = 0.05
    test_share: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        _positive(self, "layers", "hidden", "heads", "batch_size", "steps", "learning_rate")
        _not_negative(self, "weight_decay")
        _seed(self)
        _share(self, "dropout", "valid_share", "test_share", "label_share")
        if not 0 <= self.seed_balance <= 1:
            raise ConfigError(f"teacher.unimp.seed_balance={self.seed_balance} must lie between 0 and 1")
        if self.seed_balance and self.class_balanced:
            raise ConfigError(
                f"teacher.unimp.seed_balance={self.seed_balance} favours rare types already; "
                "set teacher.unimp.class_balanced=false with it"
            )
        if self.max_neighbours is not None and self.max_neighbours < 1:
            raise ConfigError(f"teacher.unimp.max_neighbours={self.max_neighbours} must be at least 1, or null for all")
        if self.valid_share + self.test_share >= 1:
            raise ConfigError("teacher.unimp.valid_share + test_share must be below 1: something has to be trained on")
        if len(self.fanouts) != self.layers:
            raise ConfigError(f"teacher.unimp.fanouts has {len(self.fanouts)} numbers for {self.layers} layers")
        if min(self.fanouts) < 1:
            raise ConfigError(f"teacher.unimp.fanouts={list(self.fanouts)} must be 1 or more each (neighbours)")
        if self.hidden % self.heads:
            raise ConfigError(f"teacher.unimp.hidden={self.hidden} must be a multiple of heads={self.heads}")


@dataclass(frozen=True)
class TransrConfig:
    """Z'': TransR (Lin et al. 2015): ||M_r h + r - M_r t||, entities and relations of their own size.

    objective: `margin` (the paper's), `adversarial` or `softmax`, see `kogner.teacher.objectives`; scale: what
    distances are multiplied with in the last two. shared: the triples of a relation in a batch have their negatives in
    common. negatives: of each triple, or of each relation and side where they are shared. corruption, typed_share: see
    `kogner.teacher.negatives`. valid_triples, eval_every (epochs), patience: stop after so many evaluations without a
    better filtered MRR and keep the best state; patience 0 trains all epochs and evaluates at the end alone.
    candidates: entities that evaluation ranks the right one among, drawn at random; 0 = all.
    schedule: the learning rate is `constant`, or falls to zero at the last epoch, `linear`.
    matrices: how they start, as the `identity` (the paper) or `small`, uniform within
    2 / sqrt(entity_dim relation_dim): entities then begin close to one another in each relation's space, and the
    translations lead.
    """

    entity_dim: int = 128
    relation_dim: int = 64
    norm: int = 2
    objective: str = "softmax"
    scale: float = 10.0
    margin: float = 1.0
    shared: bool = True
    negatives: int = 256
    corruption: str = "bernoulli"
    typed_share: float = 0.5
    batch_size: int = 8192
    epochs: int = 4
    learning_rate: float = 0.2
    schedule: str = "linear"
    matrices: str = "identity"
    valid_triples: int = 1000
    eval_every: int = 2
    patience: int = 0
    test_triples: int = 2000
    candidates: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        _positive(
            self, "entity_dim", "relation_dim", "margin", "scale", "negatives", "batch_size", "epochs", "learning_rate",
            "valid_triples", "eval_every", "test_triples",
        )  # fmt: skip
        _one_of(self, "norm", (1, 2))
        _one_of(self, "objective", ("margin", "adversarial", "softmax"))
        _one_of(self, "corruption", ("bernoulli", "uniform"))
        _one_of(self, "schedule", ("constant", "linear"))
        _one_of(self, "matrices", ("identity", "small"))
        if not 0 <= self.typed_share <= 1:
            raise ConfigError(f"teacher.transr.typed_share={self.typed_share} must lie between 0 and 1")
        _not_negative(self, "patience", "candidates")
        _seed(self)


@dataclass(frozen=True)
class TeacherConfig:
    """The teacher H_e = [Z_e ; Z'_e ; Z''_e]."""

    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    unimp: UnimpConfig = field(default_factory=UnimpConfig)
    transr: TransrConfig = field(default_factory=TransrConfig)


@dataclass(frozen=True)
class StudentConfig:
    """The span model. `label_encoder`: `shared` or an encoder of its own. `hidden`: None keeps the encoder's width.

    architecture: `bi` encodes types by themselves, `uni` reads `<<ENT>> type ... <<SEP>> text` in one pass.
    initial: a KoGNER student or a GLiNER checkpoint (folder or hub id) to go on from; it brings its own architecture
    and encoders, and where the recipe says nothing (None) its own words and context.
    context: words up to which neighbouring sentences of a document are read together; 0 = each sentence by itself.
    words: how text is cut into words: `kogner`, or `gliner` as its checkpoints were trained.
    Without an `initial`, architecture None is `bi`, words None is `kogner`, context None is 0.
    Of a uni-encoder only: rnn_layers of a BiLSTM over the words (0 = none); ent_token, sep_token: markers before each
    type and before the text.
    """

    encoder: str = "minilm"
    label_encoder: str = "shared"
    initial: str | None = None
    max_width: int = 12
    hidden: int | None = None
    dropout: float = 0.2
    context: int = AS_INITIAL
    architecture: str = AS_INITIAL
    words: str = AS_INITIAL
    rnn_layers: int = 0
    ent_token: str = "<<ENT>>"
    sep_token: str = "<<SEP>>"

    def __post_init__(self) -> None:
        unsaid = {"architecture": "bi", "words": "kogner", "context": 0} if self.initial is None else {}
        for name, value in unsaid.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)  # the dataclass is frozen
        _positive(self, "max_width")
        if self.hidden is not None:
            _positive(self, "hidden")
        if self.architecture is not None:
            _one_of(self, "architecture", ("bi", "uni"))
        if self.words is not None:
            _one_of(self, "words", ("kogner", "gliner"))
        if self.rnn_layers < 0 or (self.rnn_layers and self.architecture == "bi"):
            raise ConfigError(
                f"student.rnn_layers={self.rnn_layers} must be 0 or more, and 0 unless student.architecture=uni"
            )
        if self.rnn_layers and (self.hidden or 0) % 2:
            raise ConfigError(f"student.hidden={self.hidden} must be even for a BiLSTM (student.rnn_layers)")
        if self.architecture == "uni" and self.label_encoder != "shared":
            raise ConfigError("student.label_encoder must be shared where student.architecture=uni: it reads both")
        if not self.ent_token.strip() or not self.sep_token.strip() or self.ent_token == self.sep_token:
            raise ConfigError("student.ent_token and student.sep_token must be two different marks, neither blank")
        if self.context is not None and not 0 <= self.context <= MAX_CONTEXT:
            raise ConfigError(f"student.context={self.context} must lie between 0 and {MAX_CONTEXT} words")
        _share(self, "dropout")

    @property
    def window(self) -> int:
        """Words of one window at most, where its sub-tokens do not end it earlier."""
        return max(MAX_WORDS, self.context or 0)


@dataclass(frozen=True)
class LossConfig:
    """L = lang_weight * L_lang + dist_weight * L_dist. `focal_alpha` < 0 switches the alpha balance off.

    dist_schedule: how dist_weight goes over the steps. `constant`; `warmup` rises from 0 in a line over
    train.warmup_ratio of the steps; `linear-decay` and `cosine-decay` fall to 0 at the last step.
    negative_share: share of the spans without a gold mention that count in L_lang, drawn anew at each step. The others
    are left out, nothing is scaled up for them: a smaller share also gives gold spans more weight.
    """

    focal_alpha: float = -1.0
    focal_gamma: float = 0.0
    lang_weight: float = 0.8
    dist_weight: float = 0.2
    dist_schedule: str = "constant"
    negative_share: float = 1.0

    def __post_init__(self) -> None:
        _one_of(self, "dist_schedule", ("constant", "warmup", "linear-decay", "cosine-decay"))
        _up_to_one(self, "negative_share")


@dataclass(frozen=True)
class DistilConfig:
    """What of the bank is distilled, and how.

    parts: which of Z, Z', Z''. loss: `mse` (the paper's), `cosine`, `contrastive` or `relational`, see
    `kogner.student.distances`. kg_hidden: width both sides are mapped to (the paper's "KG hidden size"); less
    where fewer entities are linked than that.
    target: `linear` (a free map of H, kept from collapsing by the guard), `pca` (a fixed whitened projection) or `none`
    (H itself: the student is mapped to its width and kg_hidden does not count).
    student_map: `mlp` (the paper's), `linear`, or `none` (H is mapped to the student's width instead).
    guard_weight: weight of the variance and covariance terms that keep free targets from becoming a constant, or copies
    of one dimension.
    temperature, negatives: of the contrastive loss; how many other linked entities are drawn beside the batch's own.
    control: `shuffled` gives the linked entities of each type one another's rows: a gain that is left was not in them.
    """

    parts: tuple[str, ...] = PARTS
    loss: str = "mse"
    kg_hidden: int = 58
    target: str = "linear"
    student_map: str = "mlp"
    guard_weight: float = 1.0
    temperature: float = 0.1
    negatives: int = 256
    control: str = "none"

    def __post_init__(self) -> None:
        _positive(self, "kg_hidden", "temperature")
        _one_of(self, "control", ("none", "shuffled"))
        _one_of(self, "loss", ("mse", "cosine", "contrastive", "relational"))
        _one_of(self, "target", ("linear", "pca", "none"))
        _one_of(self, "student_map", ("mlp", "linear", "none"))
        _not_negative(self, "negatives")
        unknown = set(self.parts) - set(PARTS)
        if unknown or not self.parts:
            raise ConfigError(f"distil.parts may hold Z, Z' and Z'', not {sorted(unknown) or 'nothing'}")


@dataclass(frozen=True)
class TrainConfig:
    """The loop. Exactly one of steps and epochs counts: epochs where steps is None. Rates are AdamW peaks.

    train_share: share of the training documents that is used, drawn with data_seed; smaller shares are subsets of
    larger ones. beside: corpora that stand beside the others, such as a large silver one beside little gold: a step
    takes so many of their sentences for each sentence of the others, which alone count epochs and are shared out.
    eval_documents: dev documents scored during training, per corpus (0 = all; the end scores all).
    precision: auto is bf16 where the device is fast at it. freeze_embeddings: keep the pretrained word embeddings, half
    of a MiniLM's weights, as they are. threads: CPU threads, 0 = as torch chooses.

    Steps: a step takes batch_size * accumulate * processes sentences, in parts of batch_size.
    batch_tokens: most sub-tokens of a part, padding included (0 = no limit); a longer part is learnt from in several,
    which add up, so that memory does not follow the longest sentences.
    gradient_checkpointing: the encoder computes its layers again in the backward pass instead of keeping them.
    patience: stop after so many dev scores without a new best one; 0 = never. tensorboard: write `<out>.tensorboard`.
    Encoders: a layer learns at encoder_lr * layer_decay ** (layers above it), the embeddings below them all.
    freeze_layers: the lowest layers, with the embeddings below them, stay as they were pretrained.
    join_sentences: share of the documents that an epoch reads several sentences at a time, up to a random number of
    words, so that the student can read whole abstracts at once (see `kogner.data.epochs`).
    What a step sees, drawn anew at each (see `kogner.train.sampling`): mask_words: share of words whose sub-tokens the
    mask token stands for. max_types: most types a step scores (0 = all); gold types of its sentences always are.
    drop_types, of a uni-encoder only, which sees its types shuffled: share of the types without a mention in the step
    that are left out; in as large a share of the steps some of those with one are as well, their mentions with them.
    kinds: most classes of the graph, of entities of the step, shown as further labels (see `kogner.train.kind_labels`).
    agreement: fit on dev, at the end, how much other places of a text in its document count (see
    `kogner.annotate.agreement`).
    label_names: other names or descriptions of a type, any of which may stand for it. label_siblings: labels that a
    mention of a type is known not to be.
    """

    steps: int | None = None
    epochs: float = 5.0
    batch_size: int = 8
    encoder_lr: float = 5e-5
    head_lr: float = 5e-4
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1
    schedule: str = "cosine"
    max_grad_norm: float = 1.0
    train_share: float = 1.0
    beside: Mapping[str, float] = field(default_factory=dict)
    eval_every: int = 500
    eval_documents: int = 0
    save_every: int = 250
    log_every: int = 25
    precision: str = "auto"
    freeze_embeddings: bool = False
    threads: int = 0
    batch_tokens: int = 0
    accumulate: int = 1
    gradient_checkpointing: bool = False
    patience: int = 0
    tensorboard: bool = False
    layer_decay: float = 1.0
    freeze_layers: int = 0
    join_sentences: float = 0.0
    mask_words: float = 0.0
    max_types: int = 0
    drop_types: float = 0.3
    kinds: int = 0
    agreement: bool = True
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label_siblings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seed: int = 0
    data_seed: int = 0

    def __post_init__(self) -> None:
        _positive(self, "epochs", "batch_size", "encoder_lr", "head_lr", "max_grad_norm", "train_share")
        _positive(self, "eval_every", "save_every", "log_every", "accumulate")
        _not_negative(self, "batch_tokens", "patience", "freeze_layers", "max_types", "kinds", "seed", "data_seed")
        _up_to_one(self, "layer_decay")
        _share(self, "warmup_ratio", "join_sentences", "mask_words", "drop_types")
        _one_of(self, "schedule", ("cosine", "linear", "constant"))
        _one_of(self, "precision", ("auto", "fp32", "bf16"))
        if self.train_share > 1:
            raise ConfigError(f"train.train_share={self.train_share} must be at most 1 (1 = all training documents)")
        for name, ratio in self.beside.items():
            if not 0 < ratio < math.inf:
                raise ConfigError(
                    f"train.beside.{name}={ratio} must be above 0 and finite: its sentences for each of the others"
                )
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"train.steps={self.steps} must be at least 1, or null to count epochs")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what `kogner teacher build` and `kogner train` produce from the same input."""

    name: str = "default"
    student: StudentConfig = field(default_factory=StudentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)


def _positive(config: Any, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) < math.inf:  # so that nan is none either
            raise ConfigError(f"{type(config).__name__}.{name}={getattr(config, name)} must be above 0 and finite")


def _not_negative(config: Any, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(config, name) < math.inf:
            raise ConfigError(f"{type(config).__name__}.{name}={getattr(config, name)} must be 0 or more, and finite")


def _seed(config: Any) -> None:
    if not 0 <= config.seed < 1 << 63:  # torch takes no larger one
        raise ConfigError(f"{type(config).__name__}.seed={config.seed} must be in [0, 2**63)")


def _up_to_one(config: Any, *names: str) -> None:
    for name in names:
        if not 0 < getattr(config, name) <= 1:
            raise ConfigError(f"{type(config).__name__}.{name}={getattr(config, name)} must be above 0 and at most 1")


def _share(config: Any, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(config, name) < 1:
            raise ConfigError(f"{type(config).__name__}.{name}={getattr(config, name)} must be in [0, 1)")


def _one_of(config: Any, name: str, allowed: tuple[Any, ...]) -> None:
    if getattr(config, name) not in allowed:
        raise ConfigError(f"{type(config).__name__}.{name}={getattr(config, name)!r} must be one of {allowed}")
