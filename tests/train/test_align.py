"""Aligning names: the loss, the draw of pairs, resuming, and an encoder that students can start from."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kogner import cli, encoders
from kogner.artifacts import read_manifest
from kogner.config import StudentConfig
from kogner.data import synonyms
from kogner.data.synonyms import Synonyms
from kogner.errors import ArtifactError, ConfigError
from kogner.graph.store import build
from kogner.records import Entity
from kogner.student.checkpoint import create, origin
from kogner.train import align as module
from kogner.train.align import AlignSettings, Names, align
from kogner.train.checkpoint import Workspace
from kogner.train.similarity import multi_similarity_loss

pytestmark = pytest.mark.usefixtures("one_thread")
FRAMES = ("aspirin {}", "{} was in the pain of rats", "no gene with {}")


def toy(count: int = 120) -> Synonyms:
    """Entities told by two letters, amid words that say nothing."""
    letters = "abcdefghijkl"
    marks = [f"{one}{two}" for one in letters for two in letters][:count]
    names = tuple(tuple(frame.format(mark) for frame in FRAMES) for mark in marks)
    return Synonyms(tuple(f"T:{mark}" for mark in marks), names, {synonyms.ONE_NAME: 4}, ("Gene",), "0" * 64)


def settings(encoder, **changes) -> AlignSettings:
    plain = {"steps": 12, "batch_size": 16, "learning_rate": 1e-3, "held_out": 20, "save_every": 4, "max_length": 16}
    return AlignSettings(encoder=str(encoder), **(plain | changes))


@pytest.fixture(scope="module")
def aligned(tiny_encoder, tmp_path_factory):
    """An encoder after 12 steps, with its metrics."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("aligned") / "encoder"
    return out, align(toy(), out, settings(tiny_encoder))


def test_the_loss_is_that_of_the_formula():
    angles = torch.tensor([0.0, 0.5, 0.55, 1.4, 3.0, 3.1], dtype=torch.float64)
    vectors = torch.stack([angles.cos(), angles.sin()], 1)
    entities = torch.tensor([0, 0, 1, 1, 2, 2])
    whole = 0.0
    for i in range(6):
        cosine = [math.cos(angles[i] - angles[j]) for j in range(6)]
        apart = [math.sqrt(max(0.0, 2 - 2 * value)) for value in cosine]
        own = [j for j in range(6) if j != i and entities[j] == entities[i]]
        other = [j for j in range(6) if entities[j] != entities[i]]
        triples = [(p, n) for p in own for n in other if apart[n] - apart[p] <= module.MARGIN]
        pull = sum(math.exp(-1 * (cosine[p] - 0.5)) for p in {p for p, _ in triples})
        push = sum(math.exp(60 * (cosine[n] - 0.5)) for n in {n for _, n in triples})
        whole += math.log1p(pull) + math.log1p(push) / 60
    assert float(multi_similarity_loss(vectors, entities)) == pytest.approx(whole / 6, rel=1e-9)


def test_nothing_is_learnt_where_all_is_apart_and_the_gradient_stays_finite():
    vectors = torch.eye(3).repeat_interleave(2, 0).requires_grad_()
    loss = multi_similarity_loss(vectors, torch.tensor([0, 0, 1, 1, 2, 2]))
    loss.backward()
    assert float(loss.detach()) == 0 and bool((vectors.grad == 0).all())


def test_pairs_are_two_names_of_one_entity_and_every_entity_has_its_turn(tiny_encoder):
    tokenizer, _ = encoders.load(str(tiny_encoder))
    names = Names(toy(30), tokenizer, max_length=16)
    drawn = [names.pairs(step, size=8, seed=1) for step in range(15)]
    entities = np.concatenate([found for found, _ in drawn])
    assert len(entities) == 120 and np.bincount(entities).tolist() == [4] * 30
    for found, pair in drawn:
        assert (pair // len(FRAMES) == found).all() and (pair[0] != pair[1]).all()
    again = names.pairs(7, size=8, seed=1)
    assert (again[0] == drawn[7][0]).all() and (again[1] == drawn[7][1]).all()


def test_of_other_names_the_less_alike_ones_count_more():
    names = ("acute fever", "acute fevers of", "febris")
    drawn = [module._differing(names, 0, draw) for draw in np.linspace(0, 0.999, 200)]
    assert set(drawn) == {1, 2} and drawn.count(2) > 2 * drawn.count(1)


def test_names_that_are_cut_are_counted(tiny_encoder):
    tokenizer, _ = encoders.load(str(tiny_encoder))
    names = Names(Synonyms(("A",), (("fever", "fever of the rats in pain"),)), tokenizer, max_length=6)
    order, batches = names.batches(np.array([1, 0]))
    ((ids, mask),) = batches
    assert names.cut == 1 and order.tolist() == [1, 0] and mask.sum(1).tolist() == [3, 6]
    assert ids[1, -1] == tokenizer.sep_token_id


def test_held_out_names_are_found_better_than_before(tiny_encoder, tmp_path):
    metrics = align(toy(), tmp_path / "encoder", settings(tiny_encoder, steps=150, batch_size=32, learning_rate=2e-3))
    held_out = metrics["held_out"]
    assert held_out["entities"] == 20
    assert held_out["accuracy_after"] >= held_out["accuracy_before"] + 0.2
    assert metrics["left_out"] == {synonyms.ONE_NAME: 4} and metrics["steps"] == 150
    assert metrics["entities"] == 100 and metrics["pairs"] == 300


def test_a_killed_run_ends_as_one_that_was_left_alone(aligned, tiny_encoder, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    def save(self, *arguments, original=Workspace.save):
        original(self, *arguments)
        raise KilledError

    out = tmp_path / "encoder"
    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(Workspace, "save", save)
            with pytest.raises(KilledError):
                align(toy(), out, settings(tiny_encoder))
    torch.rand(7)  # the global random state must not matter
    metrics = align(toy(), out, settings(tiny_encoder, save_every=5))
    assert metrics == aligned[1]
    whole, cut = (load_file(folder / "model.safetensors") for folder in (aligned[0], out))
    assert whole.keys() == cut.keys() and all(torch.equal(whole[name], cut[name]) for name in whole)
    assert read_manifest(out).hash == read_manifest(aligned[0]).hash
    assert not out.with_name("encoder.work").exists()


def test_word_embeddings_stay_unless_they_are_to_change(aligned, tiny_encoder, tmp_path):
    name = "embeddings.word_embeddings.weight"
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_encoder, aligned[0]))
    assert torch.equal(before[name], after[name])
    assert not torch.equal(before["encoder.layer.1.output.dense.weight"], after["encoder.layer.1.output.dense.weight"])
    align(toy(), tmp_path / "encoder", settings(tiny_encoder, steps=2, freeze_embeddings=False))
    assert not torch.equal(before[name], load_file(tmp_path / "encoder" / "model.safetensors")[name])


def test_a_student_starts_from_it_and_says_so(aligned, tiny_encoder):
    folder, _ = aligned
    base, parents = origin(StudentConfig(encoder=str(folder)))
    assert base == f"{tiny_encoder} {encoders.ALIGNED}"
    assert parents == {"encoder": read_manifest(folder).hash}
    student = create(StudentConfig(encoder=str(folder), max_width=4))
    stored = load_file(folder / "model.safetensors")
    for name, tensor in student.text_encoder.model.state_dict().items():
        assert torch.equal(tensor, stored[name]), name
    assert origin(StudentConfig(encoder=str(tiny_encoder))) == (str(tiny_encoder), {})


def test_an_encoder_aligned_twice_keeps_its_first_name(aligned, tiny_encoder, tmp_path):
    align(toy(), tmp_path / "twice", settings(aligned[0], steps=2))
    manifest = read_manifest(tmp_path / "twice")
    assert manifest.parents == {"encoder": read_manifest(aligned[0]).hash, "graph": "0" * 64}
    assert encoders.origin(str(tmp_path / "twice"))[0] == f"{tiny_encoder} {encoders.ALIGNED}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_length": 2}, "no room beside 2 special tokens"),
        ({"max_length": 65}, "the encoder reads 64 sub-tokens"),
    ],
)
def test_settings_that_the_encoder_does_not_fit_are_refused(tiny_encoder, tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        align(toy(), tmp_path / "encoder", settings(tiny_encoder, **changes))


@pytest.mark.parametrize("changes", [{"steps": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"warmup_ratio": 2.0}])
def test_settings_out_of_bounds_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        AlignSettings(**changes)


def test_too_few_entities_and_folders_of_others_are_refused(tiny_encoder, tmp_path):
    with pytest.raises(ConfigError, match="4 entities with two names are too few"):
        align(toy(4), tmp_path / "encoder", settings(tiny_encoder))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match="not empty"):
        align(toy(), tmp_path / "mine", settings(tiny_encoder))


def test_another_run_in_the_same_place_is_refused(tiny_encoder, tmp_path, monkeypatch):
    def stop(run):
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(module, "_steps", stop)
        with pytest.raises(RuntimeError):
            align(toy(), tmp_path / "encoder", settings(tiny_encoder))
    with pytest.raises(ConfigError, match="a run with another names"):
        align(toy(100), tmp_path / "encoder", settings(tiny_encoder))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph") / "graph"
    found = toy(40)
    entities = [
        Entity(identifier, "Gene", names[0], names[1:])
        for identifier, names in zip(found.ids, found.names, strict=True)
    ]
    build([*entities, Entity("T:lone", "Gene", "lone"), Entity("D:1", "Disease", "fever", ("pain",))], [], folder)
    return folder


def run_command(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_a_graph_and_the_file_of_its_pairs_give_the_same_encoder(graph, tiny_encoder, tmp_path, capsys):
    plain = ("--encoder", tiny_encoder, "--steps", 3, "--batch-size", 8, "--max-length", 16, "--held-out", 5)
    file = tmp_path / "pairs.tsv.gz"
    code, out, _ = run_command(capsys, "encoder", "pairs", "--graph", graph, "--types", "Gene", "--out", file)
    assert code == 0
    assert json.loads(out.splitlines()[-1]) == {
        "file": str(file), "entities": 40, "names": 120, "pairs": 120, "types": ["Gene"],
        "left_out": {synonyms.ONE_NAME: 1},
    }  # fmt: skip
    results = []
    for name, source in (("a", ("--graph", graph, "--types", "Gene")), ("b", ("--pairs", file))):
        code, out, err = run_command(capsys, "encoder", "align", *source, *plain, "--out", tmp_path / name)
        assert code == 0, err
        results.append(json.loads(out.splitlines()[-1]))
        assert results[-1].pop("encoder") == str(tmp_path / name)
    assert results[0] == results[1]
    assert results[0]["steps"] == 3 and results[0]["entities"] == 35 and results[0]["held_out"]["entities"] == 5
    assert results[0]["loss"] > 0 and results[0]["left_out"] == {synonyms.ONE_NAME: 1}
    one, two = (read_manifest(tmp_path / name) for name in "ab")
    assert one.hash == two.hash and one.parents == two.parents == {"graph": read_manifest(graph).hash}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give either --graph or --pairs"),
        (("--graph", "GRAPH", "--pairs", "x.tsv"), "give either --graph or --pairs"),
        (("--pairs", "x.tsv", "--types", "Gene"), "--types goes with --graph"),
        (("--pairs", "absent.tsv"), "absent.tsv: does not exist"),
        (("--graph", "GRAPH", "--types", "Gene,"), "must look like"),
        (("--graph", "GRAPH", "--types", "Drug"), "the graph has no type Drug"),
        (("--graph", "GRAPH", "--device", "tpu9"), "device"),
    ],
)
def test_bad_input_is_one_message(graph, tmp_path, capsys, arguments, said):
    given = [str(graph) if one == "GRAPH" else one for one in arguments]
    code, _, err = run_command(capsys, "encoder", "align", *given, "--out", tmp_path / "out")
    assert code == 2 and said in err and "Traceback" not in err
