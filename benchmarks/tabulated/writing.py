"""How fast sentences are written about pairs of the graph, and checked."""

from __future__ import annotations

from tabulated.markdown import result, table, where

CHECKED = 20_000  # sentences a second, on 2 cores
BOUND = 0.9  # of what the server allows; from there on it is the server that is waited for


def check() -> str:
    data = result("check")
    rows = [
        [name, f"{data[key]:,}"]
        for name, key in (
            ("the stricter check", "sentences_per_s"),
            ("`--paper`", "paper_sentences_per_s"),
            ("the stricter check, names of the graph added", "with_graph_sentences_per_s"),
        )
    ]
    reached = "is reached" if data["sentences_per_s"] >= CHECKED else "is missed"
    below = (
        f"\n{data['sentences']:,} made-up sentences, on {data['machine']['cores']} cores, from rows to a corpus. "
        f"Our goal of {CHECKED:,} a second {reached}.\n"
    )
    return table(["`kogner data check`", "sentences/s"], rows) + below + "\n" + where(data)


def write() -> str:
    data = result("llm")
    rows = [
        [
            f"{run['delay_s']:g} s",
            f"{run['bound_per_s']:,.0f}",
            *(
                f"{run[name]:,.0f} ({100 * run[share]:.0f} %)"
                for name, share in (("requests_per_s", "of_bound"), ("rows_per_s", "rows_of_bound"))
            ),
        ]
        for run in data["results"]
    ]
    missed = [
        f"{what} at {' and '.join(slow)}"
        for what, share in (("asking", "of_bound"), ("from pairs to rows", "rows_of_bound"))
        if (slow := [f"{run['delay_s']:g} s" for run in data["results"] if run[share] < BOUND])
    ]
    header = ["the server answers in", "it allows, answers/s", "asked and answered/s", "`kogner data write`, rows/s"]
    below = (
        f"\n{data['at_once']} requests under way, a scripted server on the same {data['cores']} cores; the command's "
        f"start is part of its time. Our goal, to be bound by the server ({100 * BOUND:.0f} % of what it allows), is "
        f"{'missed ' + ', and '.join(missed) if missed else 'reached'}.\n"
    )
    return table(header, rows) + below + "\n" + where(data)


def silver() -> str:
    data = result("silver")
    alone = data["left_out"]["sentence without two entities that the graph relates"]
    return (
        f"{data['sentences']:,} such sentences from {data['scanned']:,} abstracts of PubMed in {data['seconds']:,.0f} "
        f"s ({data['sentences_per_s']:,.1f} sentences/s, with the start and the reading of {data['documents']:,} "
        f"abstracts); {alone:,} sentences name no two related entities. `kogner data check` with the same graph keeps "
        f"{data['kept']:,} of them.\n\n" + where(data)
    )


def zero_shot() -> str:
    data = result("zero-shot")
    rows = []
    for name, one in data["models"].items():
        lost = ", ".join(f"{count} x {reason}" for reason, count in one["unusable"].items() if count)
        rows.append([name, f"{one['f1']:.1f}", f"{one['precision']:.1f}", f"{one['recall']:.1f}", lost])
    below = (
        f"\n{data['sentences']} sentences of {data['corpus']} test, the types given. `scripted` is a server that knows "
        "the gold entities and makes fixed mistakes, so that the counts are known; `local` is gemma-3 with 270M "
        "weights.\n\n"
    )
    return table(["model", "F1", "precision", "recall", "answers of no use"], rows) + below + where(data)
