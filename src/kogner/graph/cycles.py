"""Circles in a relation that should have none, found without recursion and in time linear in the pairs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

End = TypeVar("End", bound=Hashable)


def cyclic(pairs: Iterable[tuple[End, End]]) -> set[End]:
    """Ends that stand in a circle of (from, to) pairs: those from which a walk leads back to them.

    Tarjan's strongly connected components (SIAM J. Comput. 1, 1972), with a stack of our own.
    """
    ways: dict[End, list[End]] = {}
    found: set[End] = set()
    for start, end in pairs:
        ways.setdefault(start, []).append(end)
        if start == end:
            found.add(start)
    order: dict[End, int] = {}
    lowest: dict[End, int] = {}
    path: list[End] = []
    on_path: set[End] = set()
    for root in ways:
        if root in order:
            continue
        work = [(root, iter(ways[root]))]
        order[root] = lowest[root] = len(order)
        path.append(root)
        on_path.add(root)
        while work:
            here, ends = work[-1]
            for end in ends:
                if end not in order:
                    order[end] = lowest[end] = len(order)
                    path.append(end)
                    on_path.add(end)
                    work.append((end, iter(ways.get(end, ()))))
                    break
                if end in on_path:
                    lowest[here] = min(lowest[here], order[end])
            else:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[here])
                if lowest[here] == order[here]:
                    component = []
                    while True:
                        component.append(path.pop())
                        on_path.discard(component[-1])
                        if component[-1] == here:
                            break
                    if len(component) > 1:
                        found.update(component)
    return found
