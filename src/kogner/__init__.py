"""KoGNER: open biomedical named entity recognition that knows what a knowledge graph knows.

Importing this package loads neither torch nor pyarrow; names below are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "Document": "kogner.records",
    "Entity": "kogner.records",
    "Mention": "kogner.records",
    "Sentence": "kogner.records",
    "Triple": "kogner.records",
    "KognerError": "kogner.errors",
    "GraphStore": "kogner.graph.store",
    "Bank": "kogner.teacher.bank",
    "Predictor": "kogner.annotate.predictor",
    "KoGNER": "kogner.api",
    "FoundEntity": "kogner.api",
    "Entities": "kogner.api",
    "EntityExtractor": "kogner.extractor",
    "annotate_frame": "kogner.frames",
    "read_config": "kogner.student.layout",
}

if TYPE_CHECKING:
    from kogner.annotate.predictor import Predictor
    from kogner.api import Entities, FoundEntity, KoGNER
    from kogner.errors import KognerError
    from kogner.extractor import EntityExtractor
    from kogner.frames import annotate_frame
    from kogner.graph.store import GraphStore
    from kogner.records import Document, Entity, Mention, Sentence, Triple
    from kogner.student.layout import read_config
    from kogner.teacher.bank import Bank

__all__ = [
    "Bank",
    "Document",
    "Entities",
    "Entity",
    "EntityExtractor",
    "FoundEntity",
    "GraphStore",
    "KoGNER",
    "KognerError",
    "Mention",
    "Predictor",
    "Sentence",
    "Triple",
    "__version__",
    "annotate_frame",
    "read_config",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'kogner' has no attribute {name!r}")
