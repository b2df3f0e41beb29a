"""What the code itself says: formats, sources of graphs, limits of the server."""

from __future__ import annotations

from tabulated.markdown import table


def formats() -> str:
    from kogner.data.formats.registry import FORMATS

    rows = []
    for one in FORMATS.values():
        endings = ", ".join(f"`{ending}`" if ending != "/" else "a folder" for ending in one.endings) or "—"
        kept = ", ".join(f"{name}s" for name in sorted(one.keeps)) or "—"
        marks = ["yes" if one.read else "no", "yes" if one.write else "no"]
        rows.append([f"`{one.name}`", one.about, endings, *marks, kept])
    return table(["name", "what it is", "file names", "read", "written", "keeps beside mentions and ids"], rows)


def sources() -> str:
    from kogner.graph.sources import ORIGINS

    rows = []
    for one in ORIGINS:
        files = ", ".join(f"`{name}`" for name, _ in one.files) or "—"
        rows.append([f"`{one.name}`", one.what, files, one.licence])
    return table(["name", "what it is", "files", "licence"], rows)


def limits() -> str:
    from kogner.commands.serve import _BOUNDS
    from kogner.serve.limits import Limits

    usual = Limits()
    rows = [[f"`{option}`", f"{getattr(usual, field):,}", said] for option, field, said in _BOUNDS]
    return table(["option", "default", "what it bounds"], rows)
