"""Where a server is between its start and its end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """ready: the model has answered once. stopping: a signal came; what is open is finished, and nothing else begun."""

    ready: bool = False
    stopping: bool = False
