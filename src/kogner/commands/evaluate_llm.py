"""What `kogner evaluate --llm` does: a language model instead of a student."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kogner.data.corpora import Corpus


def evaluate_llm(
    llm: str, corpora: Sequence[Corpus], cache: Path, limits: Mapping[str, Any], *, nested: Collection[str] = ()
) -> dict[str, Any]:
    """Scores of each corpus (`corpora`), what could not be used of the answers, and what it cost (`asked`).

    nested: names of corpora whose mentions may lie in one another.
    Raises ModelError where not one request was answered.
    """
    import asyncio

    from kogner.commands.llm_options import asker_of
    from kogner.evaluate.llm_baseline import VERSION, recognise
    from kogner.evaluate.spans import score, with_lost
    from kogner.llm.cache import Cache
    from kogner.llm.providers import open_model
    from kogner.progress import counting

    temperature = limits["temperature"] if limits["temperature"] >= 0 else None

    async def run() -> dict[str, Any]:
        results: dict[str, Any] = {}
        async with open_model(llm, allow_plain_http=limits["allow_plain_http"]) as model:
            with Cache.to_pay(cache) as answers:
                asker = asker_of(model, answers, limits)
                for corpus in corpora:
                    types = sorted(corpus.types)
                    with counting(f"asking about {corpus.name}", len(corpus.documents)) as counter:
                        found, unusable = await recognise(
                            corpus.documents, types, asker, max_tokens=limits["max_tokens"], temperature=temperature,
                            nested=corpus.name in nested, progress=counter.advance,
                        )  # fmt: skip
                    scores = with_lost(score(corpus.documents, found, types=types), corpus.lost).to_dict()
                    results[corpus.name] = scores | {
                        "documents": len(corpus.documents),
                        "unusable": dict(unusable.most_common()),
                        "skipped": dict(sorted(corpus.report.skipped.items())),
                        "prompt_version": VERSION,
                    }
                asker.check_answered()
                return {"corpora": results, "asked": {"model": str(model.id), **asker.to_dict()}}

    return asyncio.run(run())


def llm_table(results: Mapping[str, Any], split: str) -> None:
    """Show the scores, and what could not be used."""
    from kogner.commands.printing import add_row, new_table, show_rich
    from kogner.progress import note

    figures = ("precision", "recall", "F1", "gold", "predicted")
    table = new_table("corpus", "type", *figures, numbers=figures)
    for name, found in results["corpora"].items():
        for kind, row in [("all", found), *found["by_type"].items()]:
            shown = (f"{row[key]:.2f}" for key in ("precision", "recall", "f1"))
            add_row(table, f"{name} {split}", kind, *shown, f"{row['gold']:,}", f"{row['predicted']:,}")
        for reason, count in found["unusable"].items():
            note(f"{name}: {count:,} x {reason}")
    show_rich(table)
