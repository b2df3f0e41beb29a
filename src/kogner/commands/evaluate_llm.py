"""What `kogner evaluate --llm` does: a language model instead of a student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kogner.data.corpora import Corpus


def evaluate_llm(llm: str, corpora: Sequence[Corpus], cache: Path, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of each corpus, what could not be used of the answers, and what it cost."""
    import asyncio

    from kogner.commands.llm_options import asker_of
    from kogner.evaluate.llm_baseline import VERSION, recognise
    from kogner.evaluate.spans import score
    from kogner.llm.cache import Cache
    from kogner.llm.providers import open_model
    from kogner.progress import counting

    async def run() -> dict[str, Any]:
        results: dict[str, Any] = {}
        async with open_model(llm, allow_plain_http=limits["allow_plain_http"]) as model:
            with Cache(cache) as answers:
                asker = asker_of(model, answers, limits)
                for corpus in corpora:
                    with counting(f"asking about {corpus.name}", len(corpus.documents)) as counter:
                        found, unusable = await recognise(
                            corpus.documents, sorted(corpus.types), asker, progress=counter.advance
                        )
                    scores = score(corpus.documents, found, types=sorted(corpus.types)).to_dict()
                    results[corpus.name] = scores | {
                        "documents": len(corpus.documents),
                        "unusable": dict(unusable.most_common()),
                        "prompt_version": VERSION,
                    }
                return results | {"asked": {"model": str(model.id), **asker.to_dict()}}

    return asyncio.run(run())
