"""The README's short tables; the pages in docs/ have the whole ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kogner.evaluate.significance import holm
from kogner.experiment.plan import load
from kogner.experiment.report import CERTAIN
from kogner.experiment.rules import by_today
from tabulated.answer import gain
from tabulated.evidence import figure, left_out
from tabulated.markdown import NAMES, difference, floor, is_there, names_alone, result, table

_BOLD = "bold: a difference at p < 0.05 after Holm's correction for all of the table's differences"
MOST = 60  # labels of a race that counts here
# Plan, setting, arms without the graph, with its names when it reads, and in training too, and how the row is called.
_ARMS = ("no-graph", "no-graph-names", "silver-domain-names")
_BESIDE = ("no-graph", "no-graph-names", "silver-beside-names")
_TRUSTED = ("no-graph", "no-graph-trusted", "silver-beside-trusted")
_NOTHING = (None, None, "silver-domain-trusted")  # the first of its kind, whatever test says of the others
_ROWS = (
    ("self-training", "no-labels", _NOTHING, "nothing"),
    ("few-documents", "bc5cdr-1", _ARMS, "1 % of its train split"),
    ("few-documents", "ncbi-1", _ARMS, "1 %"),
    ("few-documents", "bc5cdr-5", _ARMS, "5 %"),
    ("few-documents", "ncbi-5", _ARMS, "5 %"),
    ("shares", "bc5cdr-15", _ARMS, "15 %"),
    ("shares", "ncbi-15", _ARMS, "15 %"),
    ("shares", "bc2gm-15", _ARMS, "15 %"),
    ("few-documents", "bc5cdr-50", _ARMS, "50 %"),
    ("shares", "bc5cdr-100", _ARMS, "all"),
    ("shares", "no-chemical", _BESIDE, "15 %, no chemicals; they are scored"),
    ("few-documents", "no-disease", _TRUSTED, "15 %, no diseases; they are scored"),
    ("unseen-corpora", "bc5cdr-15", _ARMS, "nothing of it; 15 % of BC5CDR"),
)


def helps_in_short() -> str:
    """What the table of `helps` says, for one who reads no table."""
    few, five, reads = "few documents", "five percent", "no-graph-names"
    both, train, other = "silver-domain-names", "silver-domain", "silver-shuffled"

    def f1(plan: str, setting: str, arm: str) -> str:
        row = _row(plan, setting, arm)
        return f"{row['mean']:.1f}" + ("" if by_today(row.get("rules")) else "\\*")

    def of_both(arm: str, percent: int = 5) -> str:
        return " and ".join(f1("few-documents", f"{corpus}-{percent}", arm) for corpus in ("bc5cdr", "ncbi"))

    own_labels = ""
    with suppress(FileNotFoundError):
        of_own = gain("few-documents", five, "self-taught", "no-graph")
        beside = gain("few-documents", five, both, "self-taught-names")
        own_labels = (
            f" The same text as the student without the graph labels it gives {of_own}; where both then read with "
            f"names, names in training are worth {beside} over that."
        )
    told = [
        "*With little annotated, much.* A look-up of the graph's names, with no training, finds "
        f"{of_both('names-alone')} F1 on BC5CDR and NCBI-disease. A student of 5 % of the documents finds "
        f"{of_both('no-graph')} without the graph, and {of_both(both)} with its names in training and when it reads; "
        f"one of 1 %, five or six documents, {of_both('no-graph', 1)}, and {of_both(both, 1)}.",
        f"*Over the look-up, less:* {gain('few-documents', five, both, 'names-alone')} in the mean with 5 %, and "
        f"{gain('few-documents', 'one percent', both, 'names-alone')} with 1 %. "
        "Where annotators mark other things than the graph has names for, as BC2GM's genes, a look-up finds "
        f"{names_alone('bc2gm')}; with 15 % of the documents a student has {f1('shares', 'bc2gm-15', 'no-graph')}, and "
        f"{f1('shares', 'bc2gm-15', both)} with names.",
        f"*With much annotated, some, and nearly all of it when it reads.* Half of BC5CDR's documents: "
        f"{f1('few-documents', 'bc5cdr-50', 'no-graph')} without the graph, {f1('few-documents', 'bc5cdr-50', reads)} "
        f"with names when it reads, {f1('few-documents', 'bc5cdr-50', both)} with names in training too; all of them: "
        f"{f1('shares', 'bc5cdr-100', 'no-graph')}, {f1('shares', 'bc5cdr-100', reads)} and "
        f"{f1('shares', 'bc5cdr-100', both)}.",
        "*Why names help in training:* text in which the graph says where names stand, but with the types of others, "
        f"gives a student that reads without names {gain('few-documents', five, other, 'no-graph')} with 5 %; what "
        f"they are names of {gain('few-documents', five, train, other)} more.{own_labels}",
        f"*Vectors*, distilled as in the paper: {gain('shares', few, 'mse', 'no-graph')} with 5 and 15 %, "
        f"{gain('shares', 'all documents', 'mse', 'no-graph')} with all documents of BC5CDR.",
    ]
    said = "".join(f"- {one}\n" for one in told)
    bold = "in bold what holds" if "**" in said else "none of them holds"
    return said + (
        "\nF1 on test; differences are means over corpora, with 95 % intervals. Each has p < 0.05 by itself unless "
        f"marked 'not shown'; {bold} after Holm's correction for all means of its plan, which are dozens. \\*: by "
        "earlier rules, as below.\n"
    )


def _row(plan: str, setting: str, arm: str) -> dict[str, Any]:
    """The only row of an arm in a setting."""
    (row,) = [one for one in result(plan)["rows"] if (one["setting"], one["arm"]) == (setting, arm)]
    return row


def helps() -> str:
    """F1 without the graph, with its names when it reads, and in training too, beside the names alone."""
    rows, places, seeds, marked = [], list[str](), set[int](), False
    compared: list[list[dict[str, Any] | None]] = []  # over no graph, and over the best of the others
    for plan, setting, arms, said in _ROWS:
        if not is_there(plan):
            continue
        data = result(plan)
        settings = load(data["plan"]).settings
        if setting not in settings:
            raise KeyError(f"plan {plan} has no setting {setting} any more")
        places += [place for place in data["places"] if place not in places]
        found = {(row["corpus"], row["arm"]): row for row in data["rows"] if row["setting"] == setting}
        gains = {
            (one["corpus"], one["arm"], one["baseline"]): one
            for one in data["comparisons"]
            if (one["setting"], one["seeds"]) == (setting, data["seeds"])
        }
        for corpus in dict.fromkeys(corpus for corpus, _ in found):
            own = [None if arm is None else found.get((corpus, arm)) for arm in arms]
            own = [one if one is not None and len(one["f1"]) == data["seeds"] else None for one in own]
            last = max((at for at, one in enumerate(own) if one is not None), default=0)
            if last == 0:
                continue
            figures = ["" if one is None else figure(one, data["seeds"]) for one in own]
            alone = floor(data, setting, corpus, left_out(settings[setting]))
            if not alone:
                continue  # without the floor a row says little
            earlier = any(one is not None and not by_today(one.get("rules")) for one in own)
            others = {"(0)": (float(alone), "names-alone")}
            for name, arm, one in zip(("(1)", "(2)"), arms[:last], own[:last], strict=False):
                others |= {} if one is None or arm is None else {name: (one["mean"], arm)}
            best = max(others, key=lambda name: others[name][0])
            which = "" if last == 2 else f" ({last + 1})"
            over_first = gains.get((corpus, arms[last], arms[0]))
            over_best = gains.get((corpus, arms[last], others[best][1]))
            compared.append(
                [
                    over_first and over_first | {"over": which and f"{which} over (1)"},
                    over_best and over_best | {"over": f"{which} over {best}"},
                ]
            )
            seeds.add(data["seeds"])
            rows.append([NAMES.get(corpus, corpus), f"{said} \\*" if earlier else said, alone, *figures])
            marked = marked or earlier
    rows = _shown(rows, compared, lambda one: difference(one) + one.get("over", ""))
    header = ["scored on", "annotated for training", "(0) look-up", "(1) no graph", "(2) names when it reads"]
    header += ["(3) in training too", "(3) over (1), 95 %", "(3) over the best of the others"]
    return f"{table(header, rows)}\n{_below(seeds, places, marked=marked)}\n"


def _below(seeds: set[int], places: Sequence[str], *, marked: bool) -> str:
    """What has to be known to read the table. marked: rows of an earlier rule are."""
    earlier = (
        "\\*: by rules before today's ([which](docs/howto/experiments.md#figures-by-earlier-rules)), by which a name "
        f"to which the student gave next to nothing could not be raised{_understated()}. "
    )
    return (
        f"Test F1, exact, {' or '.join(map(str, sorted(seeds)))} seeds each; {_BOLD}; with three seeds even a "
        "large one may fail it. "
        f"{_longer()}{earlier if marked else ''}Measured on {' and '.join(places)}; {_quick()}"
    )


def _understated() -> str:
    """What (2) has by earlier and by today's rules where both were measured."""
    try:
        before, after = (_row(plan, "bc5cdr-5", "no-graph-names")["mean"] for plan in ("shares", "few-documents"))
    except (FileNotFoundError, ValueError):
        return ""
    return (
        f": with 5 % of BC5CDR (2) has {before:.1f} by them, {after:.1f} by today's; with 15 % and with all it was not "
        "measured"
    )


def _longer() -> str:
    """What the last row with documents of BC5CDR has where the student without the graph is trained longer."""
    if not is_there("all-documents"):
        return ""
    data = result("all-documents")
    f1 = {row["arm"]: row["mean"] for row in data["rows"]}
    if not {"longer", "longer-names"} <= set(f1):
        return ""
    return (
        f"With all of BC5CDR and twice the steps (1) has {f1['longer']:.1f} and (2) {f1['longer-names']:.1f} "
        f"({data['seeds']} seed). "
    )


def _by_entity() -> list[list[dict[str, Any]]]:
    """What is compared with names that count by their entities: alike, and both controls; a row for each setting."""
    bases = ("names", "entities-shuffled", "entities-vocabulary")
    compared: list[list[dict[str, Any]]] = []
    if is_there("by-entity"):
        data = result("by-entity")
        gains = {
            (one["setting"], one["corpus"], one["arm"], one["baseline"]): one
            for one in data["comparisons"]
            if one["seeds"] == data["seeds"]
        }
        for setting, corpus in dict.fromkeys(place[:2] for place in gains):
            found = [gains.get((setting, corpus, "entities", base)) for base in bases]
            if None not in found:
                compared.append([one for one in found if one is not None])
    if is_there("entities"):
        for of in result("entities")["differences"].values():
            if of["by entity"]["interval"] != [0, 0]:  # else dev gives entities nothing there
                compared.append([of[what] for what in ("by entity", "vectors", "vectors beyond vocabulary")])
    return compared


def by_entity_in_short() -> str:
    """The same in a sentence: with few documents, with all of BC5CDR's, and in kogner-mini."""
    data, shipped = result("by-entity"), result("entities")["differences"]

    def of(baseline: str) -> list[dict[str, Any]]:
        pairs = [one for one in (*data["groups"], *data["comparisons"]) if one["seeds"] == data["seeds"]]
        ours = [one for one in pairs if (one["arm"], one["baseline"]) == ("entities", baseline)]
        found = [
            next((one for one in ours if one.get(place) == name), None)
            for place, name in (("group", "few documents"), ("setting", "bc5cdr-100"))
        ]
        if None in found:
            raise FileNotFoundError(f"names by their entities over {baseline} were not scored with all seeds yet")
        return [one for one in found if one is not None]

    few, every = map(_exactly, of("names"))
    bc5cdr, linnaeus = (_exactly(shipped[corpus]["all"]) for corpus in ("bc5cdr", "linnaeus"))
    rest = [one["all"] for corpus, one in shipped.items() if corpus not in ("bc5cdr", "linnaeus")]
    shown = sum(low > 0 for low, _ in (one["interval"] for one in rest))
    compared = _by_entity()
    corrected = iter(holm([one["p"] for of in compared for one in of]))
    by_vectors = [(of[1], [next(corrected) for _ in of][1]) for of in compared]
    holds = sum(p < CERTAIN and one["difference"] > 0 for one, p in by_vectors)
    return (
        f"Over names that all count alike that adds {every} F1 with all documents of BC5CDR, {few} with few. "
        f"kogner-mini, one training, reads {bc5cdr} better with such names than without names on BC5CDR, and "
        f"{linnaeus} on the 20 test documents of Linnaeus (weights from 7 dev documents); a gain is shown on "
        f"{shown or 'none'} of the other {len(rest)} corpora. Most of it is a memory of entities that stand in the "
        "annotated documents: over a control in which each entity has the vectors of another, it is "
        f"{_exactly(of('entities-shuffled')[1])} with all documents of BC5CDR, and after Holm's correction "
        f"{holds or 'none'} of {len(by_vectors)} differences from this control holds "
        "([evidence](docs/evidence.md#which-names-annotators-mark)).\n"
    )


def _exactly(one: dict[str, Any]) -> str:
    """With two digits, where differences are small."""
    return difference(one, 2)


def _shown(
    rows: list[list[str]], compared: Sequence[Sequence[dict[str, Any] | None]], said: Callable[[dict[str, Any]], str]
) -> list[list[str]]:
    """The rows, each with its comparisons behind it: in bold those that are differences with all taken together."""
    corrected = iter(holm([one["p"] for of in compared for one in of if one is not None]))

    def cell(one: dict[str, Any] | None) -> str:
        if one is None:
            return ""
        return f"**{said(one)}**" if next(corrected) < CERTAIN else said(one)

    return [[*row, *map(cell, of)] for row, of in zip(rows, compared, strict=True)]


def _quick() -> str:
    """What `make results-quick` gave."""
    if not is_there("quick"):
        return ""
    data = result("quick")
    f1 = {row["arm"]: row["mean"] for row in data["rows"] if row["setting"] != "stage"}
    return (
        f"`make results-quick` trains a short form of the row with 5 % of BC5CDR: {f1['no-graph']:.1f} without the "
        f"graph and {f1['silver']:.1f} with names in training, {data['seeds']} seed."
    )


def speed() -> str:
    """How many times as fast as gliner kogner-mini is read, over numbers of labels up to 60, by processor."""
    rows, same, labels = [], list[float](), set[int]()
    for name in ("annotate", "annotate-zen4", "annotate-avx2"):
        if not is_there(name):
            continue
        data = result(name)
        row = [_processor(data)]
        for kind in ("sentences", "long"):
            races = [
                race
                for key, race in data["by_labels"].items()
                if key.startswith(kind) and int(key.rpartition("_")[2]) <= MOST
            ]
            labels |= {int(key.rpartition("_")[2]) for key in data["by_labels"]}
            same += [race["identical"] for race in races]
            for precision in ("fp32", "bf16"):
                ratios = [race[f"{precision}_over_gliner_cached"] for race in races if precision in data["f1"]]
                speeds = [race["texts_per_second"].get(f"ours_{precision}", 0) for race in races]
                text = f"{min(speeds):.0f}, **{min(ratios):.1f}x to {max(ratios):.1f}x**" if ratios else ""
                row.append(text)
        rows.append(row)
    header = [
        "processor, two threads",
        "sentences, KoGNER fp32",
        "KoGNER bf16",
        "384-word texts, KoGNER fp32",
        "KoGNER bf16",
    ]
    few, more = (sorted(n for n in labels if (n <= MOST) == side) for side in (True, False))
    told = (
        f"\nTexts a second, the least over {', '.join(map(str, few))} labels, and how many times gliner's, which runs "
    )
    told += f"in fp32; in fp32 the same spans in {100 * min(same):g} % of the texts."
    told += f" Races with {', '.join(map(str, more))} labels: [comparison](docs/comparison.md)." if more else ""
    return table(header, rows) + told + "\n"


def _processor(data: dict[str, Any]) -> str:
    about = data["machine"]
    family = f" family {about['family']}" if about.get("family") else ""
    instructions = (
        f", {about['instructions']}" if about.get("instructions") else ", with bfloat16" if "bf16" in data["f1"] else ""
    )
    return f"{about['processor']}{family}{instructions} ({data['date'][:10]})"
