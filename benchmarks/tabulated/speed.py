"""How fast it is, and what memory it takes: annotating, training, bulk, the server."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tabulated.markdown import result, table, where

PUBMED = 38_000_000  # abstracts
PRICES = (0.01, 0.02, 0.05)  # of a core-hour, in whatever money: examples to scale from
# What we want to be faster by than gliner at up to 60 labels; docs/decisions.md says why.
GOALS = {"fp32": 3.5, "bf16": 6.0}


def annotate(name: str = "annotate") -> str:
    data = result(name)
    rows = []
    races = [("kogner-mini", "gliner_cached", data["by_labels"])]
    races += [(name, other["against"], other["by_labels"]) for name, other in data.get("others", {}).items()]
    for name, base, by_labels in races:
        for key, race in by_labels.items():
            kind, _, labels = key.rpartition("_")
            speed = race["texts_per_second"]
            text = "sentences" if kind == "sentences" else "384-word texts"
            row = [f"{name}, {text}", labels, f"{speed[base]:.1f}"]
            for precision in data["f1"]:
                ratio = race[f"{precision}_over_{base}"]
                row.append(f"{speed[f'ours_{precision}']:.1f} (**{ratio:.1f}x**)")
            rows.append([*row, f"{100 * race['identical']:g} %"])
    ours = [f"KoGNER {precision}" for precision in data["f1"]]
    header = ["checkpoint, texts", "labels", "gliner fp32, texts/s", *ours, "same spans (fp32)"]
    f1 = ", ".join(f"{precision} {value:.2f}" for precision, value in data["f1"].items())
    # Of all races that the table shows, the one at which we take most beside the encoder alone.
    most = ", ".join(
        f"{precision} {max(race[f'{precision}_over_encoder'] for _, _, some in races for race in some.values()):.2f}"
        for precision in data["f1"]
    )
    size = data["size"]
    below = (
        f"\n{size['sentences']} sentences and {size['long']} long texts of BC5CDR test, a quarter of them for other "
        f"checkpoints; the median of {size['rounds']} rounds. BC5CDR test F1 of kogner-mini as exported, each "
        f"sentence for itself: {f1}. Time that we take, in that of the bare text encoder of transformers at its best "
        f"batch size, at most: {most}."
    )
    below += reached(data, [(base, by_labels) for _, base, by_labels in races])
    fast = [race for _, _, by_labels in races for race in by_labels.values() if "fp32_over_fast_gliner" in race]
    if fast:
        ratios = {name: [race.get(f"{name}_over_fast_gliner") for race in fast] for name in ("fp32", "bf16")}
        same = [f"{100 * race['identical_to_fast_gliner']:.0f}" for race in fast]
        below += " Beside fast-gliner, on the uni-encoder it can read: " + ", ".join(
            f"{name} {min(some):.1f}x to {max(some):.1f}x" for name, some in ratios.items() if None not in some
        )
        below += f" (the same spans in {', '.join(same)} % of the texts of these races)."
    if "memory" in data:
        memory = data["memory"]
        below += (
            f" Peak memory of a stream: {memory['peak_mb_at_a_tenth']:,} MB after {memory['texts'] // 10:,} texts, "
            f"{memory['peak_mb']:,} MB after {memory['texts']:,}."
        )
    return table(header, rows) + below + "\n\n" + where(data)


def reached(data: dict[str, Any], races: list[tuple[str, dict[str, Any]]]) -> str:
    """In how many of the races our goals are reached, and the least and most that the encoder alone would allow."""
    few = [
        (race, base)
        for base, by_labels in races
        for key, race in by_labels.items()
        if int(key.rpartition("_")[2]) <= 60
    ]
    said = []
    for precision in data["f1"]:
        goal = GOALS[precision]
        ratios = [race[f"{precision}_over_{base}"] for race, base in few]
        said.append(f"{goal:g}x in {precision} in {sum(ratio >= goal for ratio in ratios)} of {len(ratios)}")
    alone = [race["texts_per_second"]["packed_encoder_fp32"] / race["texts_per_second"][base] for race, base in few]
    return (
        f" Our goals at up to 60 labels are reached: {', '.join(said)} races. Our text encoder without a span head "
        f"would be {min(alone):.1f}x to {max(alone):.1f}x as fast as gliner in fp32."
    )


def training(name: str = "train") -> str:
    data = result(name)
    rows = []
    for key, race in data["steps"].items():
        precision, _, batch = key.partition("_")
        seconds = race["seconds_per_step"]
        figures = [f"{seconds[side]:.3f}" for side in ("gliner", "ours")]
        rows.append([precision, batch, *figures, f"**{race['ratio']:.2f}x**"])
    header = ["precision", "sentences per step", "gliner, s/step", "KoGNER, s/step", "ratio"]
    runs = ", ".join(f"{name} {run['ratio']:.2f}x" for name, run in data["runs"].items())
    below = (
        f"\nWhole trainings of {next(iter(data['runs'].values()))['steps']} steps, start and writing included: {runs}. "
        f"On {data['losses_compared']} identical batches the losses differ by {data['loss_difference']:.1e} at most "
        "(relative, dropout 0).\n"
    )
    return table(header, rows) + below + "\n" + where(data)


def memory() -> str:
    data = result("memory")
    step = data["texts"] // len(data["by_tenth"])
    rows = [[f"{step * (place + 1):,}", f"{peak:,}"] for place, peak in enumerate(data["by_tenth"])][::2]
    rows.append([f"{data['texts']:,}", f"{data['peak_mb']:,}"])
    return table(["texts of 1 to 3 sentences, no two alike", "peak memory, MB"], rows) + "\n" + where(data)


def padding() -> str:
    """Documents a second where so many come at a time, with padding and without."""
    data = result("padding")
    header = ["at a time", "full batches", "batches cut where that costs least", "no padding", "entities"]
    rows = [
        [
            f"{int(count):,}",
            *(
                f"{found['documents_per_s'][way]:.1f} (no padding is **{found['unpadded_over'][way]:.2f}x**)"
                for way in ("full", "cut")
            ),
            f"{found['documents_per_s']['unpadded']:.1f}",
            "the same" if found["identical"] else "**not** the same",
        ]
        for count, found in data["at_a_time"].items()
    ]
    rounds = f"median of {data['rounds']} rounds, each of other abstracts"
    below = f"Abstracts of PubMed, documents/s in {data['precision']}; {rounds}."
    return table(header, rows) + f"\n{below}\n\n" + where(data)


def _bulk_results() -> list[Any]:
    """What was measured of annotating into a folder, in each precision."""
    found = []
    for name in ("bulk", "bulk-auto"):
        with suppress(FileNotFoundError):
            found.append(result(name))
    return found


def bulk() -> str:
    """Annotating into a folder, or a row that says that it was not measured."""
    header = [
        "precision",
        "documents",
        "characters of each",
        "documents/s",
        "cores",
        "documents/s and core",
        "memory, MB",
        "kills",
    ]
    header += ["missing", "doubled"]
    rows, below = [], []
    for data in _bulk_results():
        memory = ", ".join(f"{value:,} in the {name}" for name, value in data["memory_mb"].items())
        rows.append([
            data.get("precision", "fp32"),
            f"{data['documents']:,}",
            f"{data['characters'] / data['documents']:,.0f}",
            f"{data['documents_per_s']:.1f}",
            str(data["machine"]["cores"]),
            f"{data['documents_per_s'] / data['machine']['cores']:.2f}",
            f"{data['peak_mb']:,} at most, {memory}",
            " + ".join(f"{count} of a {what}" for what, count in data["kills"].items()),
            str(data["missing"]),
            str(data["doubled"]),
        ])  # fmt: skip
        below.append(f"`{data['command']}`: {where(data)}" if len(_bulk_results()) > 1 else where(data))
    return table(header, rows or [["not measured yet", *["" for _ in header[1:]]]]) + "\n" + "\n".join(below)


def bulk_cost() -> str:
    """Core-hours and price of all of PubMed, derived from the same measurement."""
    header = ["for", "core-hours", *(f"at {price:g} a core-hour" for price in PRICES)]
    rows = []
    for data in _bulk_results():
        per_core = data["documents_per_s"] / data["machine"]["cores"]
        hours = PUBMED / per_core / 3600
        formula = f"{PUBMED:,} / {per_core:.2f} / 3,600 = **{hours:,.0f}**"
        prices = [f"{hours:,.0f} x {price:g} = **{hours * price:,.0f}**" for price in PRICES]
        rows.append([f"{PUBMED:,} abstracts, {data.get('precision', 'fp32')}", formula, *prices])
    return table(header, rows or [[f"{PUBMED:,} abstracts", "not measured yet", *["" for _ in PRICES]]])


def load() -> str:
    """The server at twice the load it can bear."""
    data = result("load")
    header = ["offered/s", "answered/s", "p50", "p95", "p99, ms", "turned away (429)", "errors", "memory, MB"]
    row = [
        f"{data['offered_per_s']:.1f} (capacity {data['capacity_per_s']:.1f})",
        f"{data['requests_per_s']:.1f}",
        *(f"{data[f'p{part}_ms']:,}" for part in (50, 95, 99)),
        f"{data['rejected_429']:,} of {data['asked']:,}",
        str(data["errors"]),
        f"{data['memory_peak_mb']:,} at most; {data['memory_growth_mb']:+.1f} from the middle third of the time to the "
        "last, on average",
    ]
    errors = ", ".join(f"{count} x {kind}" for kind, count in data["kinds_of_errors"].items()) or "none"
    below = (
        f"{data['seconds']:.0f} s of requests at random times, abstracts of BC5CDR test, {len(data['labels'])} labels"
        f"{', with ids of the graph' if data['graph'] else ''}; one request in ten has five documents: of these "
        f"{data['answered_several']} were answered, in {data['several_p50_ms'] / 1000:.0f} s (p50) and "
        f"{data['several_p99_ms'] / 1000:.0f} s (p99). Then "
        f"SIGTERM with {data['open_at_sigterm']} requests open. Errors: {errors}."
    )
    return table(header, [row]) + f"\n{below}\n" + where(data)
