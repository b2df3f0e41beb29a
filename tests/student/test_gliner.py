"""GLiNER checkpoints without gliner: against plain mathematics on the weights' names, and against damage."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from kogner import artifacts
from kogner.cli import cli
from kogner.config import StudentConfig
from kogner.errors import ArtifactError, KognerError
from kogner.student import checkpoint, gliner, layout
from kogner.student.checkpoint import StudentInfo
from kogner.student.encoder import tokenise
from kogner.student.gliner_config import to_gliner

LABELS = ["gene", "pain of rats"]
WORDS = ("aspirin", "lowered", "the", "fever", "with", "il-2")
INFO = StudentInfo(types=("gene",), thresholds={"gene": 0.25}, base="tiny")
KINDS = {
    "bi, shared": {},
    "bi, shared, projected": {"hidden": 24},
    "bi, own label encoder": {"label_encoder": "own", "hidden": 24},
    "uni": {"architecture": "uni"},
    "uni, projected, BiLSTM": {"architecture": "uni", "hidden": 24, "rnn_layers": 2},
}


@pytest.fixture
def make(tiny_encoder):
    def student(kind: str, **changes):
        fields = {"encoder": str(tiny_encoder), "max_width": 3, **KINDS[kind], **changes}
        if fields.get("label_encoder") == "own":
            fields["label_encoder"] = str(tiny_encoder)
        torch.manual_seed(3)
        return checkpoint.create(StudentConfig(**fields)).eval()

    return student


def export(student, folder):
    with artifacts.writing(folder, kind=gliner.KIND, version=gliner.FORMAT) as building:
        gliner.save(student, INFO, building)
    return folder


def run(*arguments):
    """A command's last line, as JSON."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout.splitlines()[-1])


def change_config(folder, **fields):
    file = folder / "gliner_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def two_layers(weights, name, x):
    inner = torch.relu(x @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"])
    return inner @ weights[f"{name}.3.weight"].T + weights[f"{name}.3.bias"]


def projected(weights, name, x):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"] if f"{name}.weight" in weights else x


def plain_logits(folder):
    """What the checkpoint says by GLiNER's own account: one vector per span, (words, widths, types)."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "gliner_config.json").read_text())

    def encoder(prefix, raw):
        model = AutoModel.from_config(AutoConfig.for_model(**raw))
        inside = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        model.load_state_dict(inside, strict=True)
        return model.eval()

    def states(model, tokenizer, row, **options):
        tokens = tokenizer(row, return_tensors="pt", **options)
        return tokens, model(tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state[0]

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = encoder("token_rep_layer.bert_layer.model.", config["encoder_config"])
    uni = config["labels_encoder"] is None
    prompt = [part for label in LABELS for part in ("<<ENT>>", label)] + ["<<SEP>>"] if uni else []
    tokens, vectors = states(model, tokenizer, [*prompt, *WORDS], is_split_into_words=True)
    vectors = projected(weights, "token_rep_layer.projection", vectors)
    owner = tokens.word_ids(0)
    words = torch.stack([vectors[owner.index(len(prompt) + word)] for word in range(len(WORDS))])
    if uni:
        types = vectors[tokens["input_ids"][0] == config["class_token_index"]]
        layers = config["num_rnn_layers"]
        if layers:
            width = config["hidden_size"]
            rnn = torch.nn.LSTM(width, width // 2, num_layers=layers, bidirectional=True, batch_first=True)
            rnn.load_state_dict({k.removeprefix("rnn.lstm."): v for k, v in weights.items() if k.startswith("rnn.")})
            words = rnn(words.unsqueeze(0))[0][0]
    else:
        label_tokenizer = AutoTokenizer.from_pretrained(folder / "labels_tokenizer")
        label_model = encoder("token_rep_layer.labels_encoder.model.", config["labels_encoder_config"])
        means = [states(label_model, label_tokenizer, label)[1].mean(0) for label in LABELS]
        types = projected(weights, "token_rep_layer.labels_projection", torch.stack(means))
    types = two_layers(weights, "prompt_rep_layer", types)
    at = "span_rep_layer.span_rep_layer"
    logits = torch.full((len(WORDS), config["max_width"], len(LABELS)), torch.nan)
    for first in range(len(WORDS)):
        for width in range(min(config["max_width"], len(WORDS) - first)):
            start = two_layers(weights, f"{at}.project_start", words[first])
            end = two_layers(weights, f"{at}.project_end", words[first + width])
            span = two_layers(weights, f"{at}.out_project", torch.relu(torch.cat([start, end])))
            logits[first, width] = types @ span
    return logits


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_an_exported_student_scores_as_gliner_does(make, tmp_path, kind):
    student = make(kind)
    expected = plain_logits(export(student, tmp_path / "out"))
    other = ("il", "gene")  # a shorter neighbour, so that rows are padded
    batch = student.collate(tokenise(student.tokenizer, [WORDS, other]))
    scores, _ = student(batch, student.encode_labels(LABELS))
    reached = scores.valid[0]
    assert torch.equal(reached, ~expected[..., 0].isnan())
    torch.testing.assert_close(scores.logits[0][reached], expected[reached], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_back_from_gliner_a_student_is_bit_equal(make, tmp_path, kind):
    student = make(kind, context=40)
    back, info = checkpoint.open_student(export(student, tmp_path / "out"))
    assert info == INFO
    assert back.config.context == 40
    assert back.config.label_encoder == student.config.label_encoder
    before, after = student.state_dict(), back.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_without_our_side_file_it_is_read_as_gliners(make, tmp_path):
    folder = export(make("bi, shared"), tmp_path / "out")
    (folder / layout.SIDE).unlink()
    student, info = checkpoint.open_student(folder)
    assert (student.config.words, student.config.context) == ("gliner", 384)
    assert student.label_encoder is not None
    assert info.thresholds == {}


def test_a_shared_encoder_that_was_trained_apart_in_gliner_is_not_tied_again(make, tmp_path):
    folder = export(make("bi, shared"), tmp_path / "out")
    name = "token_rep_layer.labels_encoder.model.embeddings.word_embeddings.weight"
    change_weights(folder, lambda weights: weights[name].add_(1))
    assert checkpoint.open_student(folder)[0].label_encoder is not None


def test_weights_that_nothing_reads_are_left_out(make, tmp_path):
    folder = export(make("bi, own label encoder"), tmp_path / "out")
    change_weights(folder, lambda weights: weights.update({"rnn.lstm.weight_ih_l0": torch.zeros(2)}))
    change_config(folder, num_rnn_layers=1)
    (folder / layout.SIDE).unlink()
    assert not any("rnn" in name for name in checkpoint.open_student(folder)[0].state_dict())


def test_markers_in_a_text_do_not_break_a_bi_encoder_whose_tokenizer_knows_them(make, tmp_path):
    folder = export(make("bi, shared"), tmp_path / "out")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["[FLERT]", "<<ENT>>", "<<SEP>>"], special_tokens=True)  # as gliner does when it loads
    tokenizer.save_pretrained(folder)
    student = checkpoint.open_student(folder)[0]
    batch = student.collate(tokenise(student.tokenizer, [("the", "<<ENT>>", "gene")]))
    assert int(batch.ids.max()) >= student.text_encoder.rows
    scores, _ = student(batch, student.encode_labels(["gene"]))
    assert torch.isfinite(scores.logits).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"span_mode": "token_level"}, "token-level variant"),
        ({"span_mode": "markerV1"}, "span representation that is not read"),
        ({"post_fusion_schema": "l2l-l2t"}, "poly-encoder"),
        ({"labels_decoder": "gpt2"}, "decoder variant"),
        ({"relations_layer": "biaffine"}, "relation variant"),
        ({"model_type": "gliner_streaming_span"}, "gliner_streaming_span"),
        ({"subtoken_pooling": "mean"}, "first sub-token"),
        ({"fuse_layers": True}, "fuses all layers"),
        ({"words_splitter_type": "spacy"}, "word splitter"),
        ({"embed_ent_token": False}, "token after its marker"),
        ({"embed_ent_token": None}, "token after its marker"),
        ({"cosine_scores": True}, "'cosine_scores'.* is not known .*upgrade KoGNER"),
        ({"hidden_size": "wide"}, "hidden_size must be of type int"),
        ({"max_width": 7}, "kogner.json says max_width=3, but gliner_config.json says 7"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(make, tmp_path, fields, message):
    folder = export(make("bi, shared"), tmp_path / "out")
    change_config(folder, **fields)
    with pytest.raises(ArtifactError, match=message):
        checkpoint.open_student(folder)


def test_fields_of_training_and_fields_that_are_off_are_no_obstacle(make, tmp_path):
    folder = export(make("uni"), tmp_path / "out")
    change_config(folder, lr_encoder=1e-5, num_steps=30000, loss_alpha=-1, eval_every=500, labels_encoder="")
    change_config(folder, gpu="A100", run_time=3600.5, description="NER", tags=["ner"], version="2.5", max_length=20)
    assert checkpoint.open_student(folder)[0].config.architecture == "uni"


def test_a_switch_that_is_not_known_and_off_is_named(make, tmp_path, capsys):
    folder = export(make("uni"), tmp_path / "out")
    change_config(folder, some_new_switch=False)
    checkpoint.open_student(folder)
    assert "some_new_switch not known to KoGNER" in " ".join(capsys.readouterr().err.split())


def test_what_gliner_reads_together_is_read_together(make, tmp_path):
    folder = export(make("bi, shared"), tmp_path / "out")
    assert checkpoint.open_student(folder)[0].config.context == 0  # as KoGNER wrote beside it
    (folder / layout.SIDE).unlink()
    change_config(folder, max_len=100)
    assert layout.read_config(folder).context == 100
    change_config(folder, max_len=2048)
    config = layout.read_config(folder)
    assert (config.context, config.window) == (2048, 2048)
    shape = {"hidden": 8, "encoder_config": {}, "labels_encoder_config": {}, "class_token": None, "vocabulary": None}
    assert to_gliner(config, **shape)["max_len"] == 2048


def test_others_are_told_a_name_that_they_know():
    config = StudentConfig()
    raw = to_gliner(config, hidden=8, encoder_config={}, labels_encoder_config={}, class_token=None, vocabulary=None)
    assert config.encoder == "minilm"
    assert raw["model_name"] == raw["labels_encoder"] == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_checkpoint_cannot_name_code_to_load(make, tmp_path):
    folder = export(make("uni"), tmp_path / "out")
    raw = json.loads((folder / "gliner_config.json").read_text())["encoder_config"]
    evil = {"_attn_implementation": "owner/kernel", "attn_implementation": "owner/kernel"}
    change_config(folder, **evil, encoder_config=raw | evil)
    model = checkpoint.open_student(folder)[0].text_encoder.model
    assert model.config._attn_implementation in ("eager", "sdpa")


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"thresholds": {"gene": "low"}}, r"kogner.json: thresholds\['gene'\]='low' .* a number between 0 and 1"),
        ({"thresholds": {"gene": 1.0}}, "between 0 and 1"),
        ({"thresholds": [0.5]}, "must be a mapping"),
        ({"default_threshold": 0}, "default_threshold=0"),
        ({"temperatures": {"gene": True}}, "above 0 and finite"),
        ({"types": "gene"}, "types must be a list"),
        ({"colour": 1}, "'colour' of the student, which is not known here; upgrade KoGNER"),
    ],
)
def test_a_side_file_that_makes_no_sense_is_refused(make, tmp_path, info, message):
    folder = export(make("uni"), tmp_path / "out")
    side = json.loads((folder / layout.SIDE).read_text())
    (folder / layout.SIDE).write_text(json.dumps(side | {"info": side["info"] | info}))
    with pytest.raises(ArtifactError, match=message):
        checkpoint.open_student(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("prompt_rep_layer.0.weight"), r"missing \['type_head.0.weight'\]"),
        (lambda weights: weights.update(ghost=torch.zeros(1)), r"unexpected \['ghost'\]"),
        (lambda weights: weights.update({"prompt_rep_layer.0.bias": torch.zeros(5)}), "type_head.0.bias has shape"),
    ],
    ids=["missing", "extra", "shape"],
)
def test_weights_that_do_not_fit_are_refused(make, tmp_path, change, message):
    folder = export(make("uni"), tmp_path / "out")
    change_weights(folder, change)
    with pytest.raises(ArtifactError, match=message):
        checkpoint.open_student(folder)


def test_a_file_cut_short_is_refused(make, tmp_path):
    folder = export(make("uni"), tmp_path / "out")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="damaged or cut off"):
        checkpoint.open_student(folder)


def test_a_tokenizer_without_the_markers_is_refused(make, tiny_encoder, tmp_path):
    folder = export(make("uni"), tmp_path / "out")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tiny_encoder / name).read_bytes())
    table = "token_rep_layer.bert_layer.model.embeddings.word_embeddings.weight"
    change_weights(folder, lambda weights: weights.update({table: weights[table][:-2].clone()}))
    with pytest.raises(ArtifactError, match="has no token '<<ENT>>'"):
        checkpoint.open_student(folder)


def test_an_early_checkpoint_that_brings_neither_tokenizer_nor_encoder_configuration(make, tiny_encoder, tmp_path):
    student = make("uni, projected, BiLSTM", rnn_layers=1)
    folder = export(student, tmp_path / "out")
    for file in folder.iterdir():
        if file.name not in ("model.safetensors", "gliner_config.json"):
            file.unlink()
    early = {"model_name": str(tiny_encoder), "max_width": 3, "hidden_size": 24, "dropout": 0.4, "lr_encoder": "1e-5"}
    early |= {"span_mode": "markerV0", "subtoken_pooling": "first", "size_sup": -1, "shuffle_types": True}
    (folder / "gliner_config.json").write_text(json.dumps(early))
    read = checkpoint.open_student(folder)[0]
    a, b = (s.encode_labels(LABELS).ids.tolist() for s in (student, read))
    assert a == b
    change_config(folder, has_rnn=False)
    with pytest.raises(ArtifactError, match=r"unexpected \['rnn.bias_hh_l0'"):
        checkpoint.open_student(folder)


def test_encoders_that_gliner_builds_in_its_own_way_are_refused(make, tmp_path):
    folder = export(make("uni"), tmp_path / "out")
    change_config(folder, encoder_config={"model_type": "t5", "d_model": 32})
    with pytest.raises(ArtifactError, match="its encoder is a t5"):
        checkpoint.open_student(folder)


def test_an_encoder_that_cannot_be_made_is_named(make, tmp_path):
    folder = export(make("uni"), tmp_path / "out")
    change_config(folder, encoder_config={"model_type": "no_such_model"})
    with pytest.raises(KognerError, match="is not an encoder that this transformers can make"):
        checkpoint.open_student(folder)


@pytest.mark.parametrize("kind", ["bi, own label encoder", "uni, projected, BiLSTM"])
def test_training_goes_on_from_a_gliner_checkpoint(make, tmp_path, kind):
    student = make(kind)
    folder = export(student, tmp_path / "out")
    again = checkpoint.create(StudentConfig(initial=str(folder), max_width=2, dropout=0.4))
    assert again.span_head.max_width == again.config.max_width == 2
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), again.parameters(), strict=True))
    assert again.word_dropout.p == 0.4
    base, parents = checkpoint.origin(StudentConfig(initial=str(folder)))
    assert base == "tiny"
    assert len(parents["initial"]) == 64


def test_export_command_and_configuration_without_torch(make, tmp_path):
    with artifacts.writing(tmp_path / "s", kind=checkpoint.KIND, version=checkpoint.VERSION) as building:
        checkpoint.save(make("uni"), INFO, building)
    assert run("export", "--to", "gliner", tmp_path / "s", tmp_path / "g")["architecture"] == "uni"
    code = (
        "import sys, kogner\n"
        f"found = [kogner.read_config(place) for place in ({str(tmp_path / 's')!r}, {str(tmp_path / 'g')!r})]\n"
        "assert found[0] == found[1] and found[0].architecture == 'uni', found\n"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    with pytest.raises(ArtifactError, match="holds a student"):
        run("export", "--to", "gliner", tmp_path / "g", tmp_path / "s")


def test_weights_in_several_files_are_named(make, tmp_path):
    folder = export(make("uni"), tmp_path / "out")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    with pytest.raises(ArtifactError, match=r"in 1 files \(model-00001-of-00002.safetensors"):
        gliner.load(folder)


@pytest.mark.parametrize("fields", [{"hidden_size": 50_000_000}, {"vocab_size": 2, "hidden_size": "x"}])
def test_sizes_that_the_weights_do_not_have_are_never_allocated(make, tmp_path, fields):
    folder = export(make("bi, own label encoder"), tmp_path / "out")
    raw = json.loads((folder / layout.GLINER).read_text())
    change_config(folder, encoder_config=raw["encoder_config"] | fields)
    with pytest.raises(ArtifactError, match=r"does not fit its configuration|makes no model|is not an encoder"):
        gliner.load(folder)
