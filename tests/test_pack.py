"""A training packed for a machine without a network, and unpacked there."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

FILE = Path(__file__).parents[1] / "tools" / "pack.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("pack_tool", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    (tmp_path / "encoder").mkdir()
    weights = {
        name: random.normal(size=shape).astype(np.float32) for name, shape in (("b.weight", (70, 30)), ("a", (5,)))
    }
    save_file(weights | {"ids": np.arange(3)}, tmp_path / "encoder" / "model.safetensors")
    (tmp_path / "encoder" / "config.json").write_text("{}")
    (tmp_path / "build" / "mine").mkdir(parents=True)
    (tmp_path / "build" / "mine" / "train.jsonl").write_bytes(random.bytes(200_000))
    return tmp_path


def test_there_and_back_in_any_order(tool, place):
    pieces = tool.pack([Path("build/mine")], Path("encoder"), "small", Path("pieces"), size=150_000)
    assert len(pieces) > 2 and all((piece / "data").stat().st_size <= 150_000 for piece in pieces)
    there = place / "there"
    assert tool.unpack(pieces[1:2], there) == [piece.name for piece in pieces if piece != pieces[1]]
    assert tool.unpack(pieces[2:], there) == ["piece-00"] and not (there / "src").exists()
    assert tool.unpack(pieces[:1], there) == []
    assert (there / "build/mine/train.jsonl").read_bytes() == (place / "build/mine/train.jsonl").read_bytes()
    assert (there / "src/kogner/cli.py").is_file() and (there / "recipes/small.yaml").is_file()
    assert not list(there.rglob("__pycache__")) and not (there / ".pieces").exists()
    model = there / "encoders" / "small" / "model"
    assert sorted(file.name for file in model.iterdir()) == ["config.json", "model.safetensors"]
    came, went = load_file(model / "model.safetensors"), load_file(place / "encoder" / "model.safetensors")
    assert came.keys() == went.keys() - {"ids"}
    for name, tensor in came.items():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, went[name].astype(np.float16).astype(np.float32))


def test_a_damaged_piece_and_one_of_another_packing(tool, place):
    pieces = tool.pack([Path("build/mine")], None, "", Path("pieces"), size=300_000)
    other = tool.pack([Path("build/mine")], None, "", Path("others"), size=250_000)
    assert tool.unpack([pieces[0]], place / "there") == [piece.name for piece in pieces[1:]]
    assert "piece-00" in tool.unpack([other[1]], place / "there")  # the one that is kept belongs to the other packing
    (pieces[1] / "data").write_bytes(b"x")
    with pytest.raises(SystemExit, match="damaged"):
        tool.unpack([pieces[1]], place / "there")


@pytest.mark.parametrize("path", ["/etc/hostname", "../encoder", "build/none"])
def test_only_what_lies_below_is_packed(tool, place, path):
    with pytest.raises(SystemExit, match="below the folder"):
        tool.pack([Path(path)], None, "", Path("pieces"), size=1000)
    assert not (place / "pieces").exists()


def test_commands(tool, place, monkeypatch, capsys):
    run = ["pack.py", "pack", "build/mine", "--encoder", "encoder", "--out", "pieces", "--megabytes", "0.2"]
    monkeypatch.setattr("sys.argv", run)
    tool.main()
    pieces = list(json.loads(capsys.readouterr().out)["pieces"])
    monkeypatch.setattr("sys.argv", ["pack.py", "unpack", *pieces, "--into", "there"])
    tool.main()
    assert json.loads(capsys.readouterr().out) == {"missing": []}
    assert (place / "there/encoders/encoder/__init__.py").is_file()
