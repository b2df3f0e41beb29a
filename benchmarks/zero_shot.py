"""The paper's zero-shot baseline (arXiv 2503.15737, table 1) on sentences of a test split: F1, and what was of no use.

Two models. `scripted`: an HTTP server that knows the gold entities and does wrong what language models do wrong, at
fixed shares, so that the figures are known: an answer cut off, one that is no JSON, an entity of another type, an
entity that is not there, one forgotten. `local`: a small model on this machine (extra `local`). The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import record

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "llm"))


def evaluate(llm: str, args: argparse.Namespace, cache: Path) -> dict[str, Any]:
    """What `kogner evaluate --llm` says of the corpus."""
    command = [
        sys.executable, "-m", "kogner.cli", "--quiet", "evaluate", "--llm", llm, "--data", f"{args.name}={args.corpus}",
        "--sentences", str(args.sentences), "--cache", str(cache), "--max-tokens", str(args.max_tokens), "--json",
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    asked = {key: said["asked"][key] for key in ("asked", "answered", "failed", "input_tokens", "output_tokens")}
    return said["corpora"][args.name] | {"asked": asked}


def scripted(args: argparse.Namespace) -> Any:
    """A server that answers about the sentences that will be asked; what it does wrong goes by their numbers."""
    from scripted import Answer, ScriptedServer  # type: ignore[import-not-found]

    from kogner.data import corpora
    from kogner.evaluate.sample import sampled

    corpus = sampled(corpora.load(args.name, args.corpus, "test"), args.sentences)
    known = {document.text: (number, document) for number, document in enumerate(corpus.documents)}

    def script(seen: Any) -> Any:
        number, document = known[seen.user.split("\nText: ", 1)[1]]
        listed = [{"mention": one.text, "type": one.type} for one in document.mentions]
        if number % 20 == 1:
            return Answer(json.dumps({"entities": listed})[:20], finish="length")
        if number % 20 == 2:
            return Answer("There is nothing to report.")
        if number % 5 == 3 and listed:
            listed[0] |= {"type": "food"}
        if number % 5 == 4:
            listed = [*listed[1:], {"mention": "something else", "type": corpus.types[0]}]
        return Answer(json.dumps({"entities": listed}))

    return ScriptedServer(script)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("KOGNER_SHARED", "../shared"))
    parser.add_argument("--name", default="bc5cdr")
    parser.add_argument("--corpus", type=Path, default=shared / "corpora" / "bc5cdr")
    parser.add_argument("--sentences", type=int, default=100)
    parser.add_argument("--llm", action="append", default=[], help="further models, such as local; can be repeated")
    parser.add_argument(
        "--max-tokens", type=int, default=200, help="of an answer; small models do not end by themselves"
    )
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    os.environ.pop("KOGNER_LLM_KEY", None)
    with tempfile.TemporaryDirectory() as place:
        with scripted(args) as server:
            models = {"scripted": evaluate(server.spec, args, Path(place) / "scripted.cache")}
        for llm in args.llm:
            models[llm] = evaluate(llm, args, Path(place) / f"{len(models)}.cache")
    result = {"corpus": args.name, "sentences": args.sentences, "models": models}
    record.write(args.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
