"""Write the tables of the documents from benchmarks/results/*.json.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.

With --check nothing is written, and the exit code is 1 where a table is not what the results say.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENTS = ("README.md", *sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"(<!-- table: ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
NAMES = {
    "bc5cdr": "BC5CDR", "ncbi": "NCBI-disease", "bc2gm": "BC2GM", "jnlpba": "JNLPBA", "gnormplus": "GNormPlus",
    "linnaeus": "Linnaeus",
}  # fmt: skip
ARMS = {
    "no-graph": "no graph (b = 0)",
    "mse": "MSE on [Z ; Z' ; Z''] (the paper's)",
    "mse-Z": "MSE on Z alone",
    "mse-structure": "MSE on [Z' ; Z'']",
    "mse-pca": "MSE, targets fixed by PCA",
}


def result(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" for _ in header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def where(data: dict[str, Any]) -> str:
    about = data["machine"]
    machine = about["gpu"] or about["processor"] + (f" ({about['instructions']})" if "instructions" in about else "")
    revisions = " and ".join(data.get("revisions") or [data["revision"]])
    return f"Measured {data['date'][:10]} at revision {revisions} on {machine}.\n"


def mini() -> str:
    data = result("kogner-mini")
    rows = []
    for name, splits in data["scores"].items():
        test, dev = splits["test"], splits["dev"]
        figures = [f"{test[key]:.1f}" for key in ("precision", "recall")] + [f"**{test['f1']:.1f}**"]
        rows.append([NAMES.get(name, name), *figures, f"{dev['f1']:.1f}", f"{test['gold']:,}"])
    header = ["corpus (test split)", "precision", "recall", "F1", "F1 on dev", "gold mentions"]
    return table(header, rows) + "\n" + where(data)


def suite() -> str:
    data = result("suite")
    arms = [arm for arm in ("model", "with names") if arm in data]
    trained = {NAMES[name] for name in data["trained_on"]}
    rows = []
    for name, found in data["model"]["corpora"].items():
        f1 = [f"{data[arm]['corpora'][name]['f1']:.1f}" for arm in arms]
        alone = data.get("with names", {}).get("corpora", {}).get(name, {}).get("names_alone", {}).get("f1")
        types = ", ".join(sorted(found["by_type"]))
        row = [name, types, "yes" if name in trained else "no", *f1, f"{found['relaxed']['f1']:.1f}"]
        rows.append([*row, "" if alone is None else f"{alone:.1f}", str(sum(found["left_out"].values()))])
    means = [f"{data[arm]['mean_f1_of_six']:.1f}" for arm in arms]
    rows.append(["mean of the six that are trained on", "", "", *means, "", "", ""])
    for name, why in data["model"]["missing"].items():
        rows.append([name, f"not scored: {why}", "", *[""] * len(arms), "", "", ""])
    header = ["corpus (test split)", "types", "trained on", *["F1", "with names of the graph"][: len(arms)]]
    left_out = "\nLeft out: test documents that a train or dev split holds as well; what is scored is the rest.\n\n"
    return table([*header, "F1, any overlap", "names alone", "left out"], rows) + left_out + where(data)


def paired() -> str:
    runs = [result(name) for name in ("paired-bc5cdr", "paired-bc5cdr-100")]
    rows = []
    for cell in (cell for data in runs for cell in data["cells"]):
        difference = ""
        if "difference_mean" in cell:
            difference = f"{cell['difference_mean']:+.2f} ± {cell['difference_sd']:.2f}"
        f1 = f"{cell['f1_mean']:.2f} ± {cell['f1_sd']:.2f}"
        rows.append([f"{100 * cell['share']:g} %", ARMS[cell["arm"]], f1, difference, str(len(cell["f1"]))])
    header = ["share of BC5CDR train", "arm", "test F1", "paired difference", "seeds"]
    return table(header, rows) + "\n" + "".join(where(data) for data in runs)


def teacher() -> str:
    data = result("teacher")
    unimp, transr = data["unimp"], data["transr"]
    rows = [
        ["Graph Transformer: node type, micro", f"{unimp['micro']:.3f}", f"{unimp['majority_micro']:.3f} (majority)"],
        ["Graph Transformer: node type, macro", f"{unimp['macro']:.3f}", f"{unimp['majority_macro']:.3f} (majority)"],
        ["TransR: filtered MRR, held-out triples", f"{transr['mrr']:.3f}", ""],
        ["TransR: Hits@10", f"{transr['hits@10']:.3f}", ""],
    ]
    rows[2][2] = f"{transr['chance_mrr']:.6f} (chance, {transr['candidates']:,} candidates)"
    names = {"features": "Z", "unimp": "Z'", "transr": "Z''"}
    minutes = ", ".join(f"{names[name]} {value:.1f} min" for name, value in data["minutes"].items())
    time = f"\nTime on {data['machine']['cores']} cores: {minutes}.\n"
    return table(["part", "score", "baseline"], rows) + time + "\n" + where(data)


# What we want to be faster by than gliner at up to 60 labels; docs/decisions.md says why.
GOALS = {"fp32": 3.5, "bf16": 6.0}


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
        f"checkpoints; the median of {size['rounds']} rounds. BC5CDR test F1 of kogner-mini: {f1}. Time that we take, "
        f"in that of the bare text encoder of transformers at its best batch size, at most: {most}."
    )
    below += reached(data, [(base, by_labels) for _, base, by_labels in races])
    fast = [race for _, _, by_labels in races for race in by_labels.values() if "fp32_over_fast_gliner" in race]
    if fast:
        ratios = {name: [race.get(f"{name}_over_fast_gliner") for race in fast] for name in ("fp32", "bf16")}
        same = int(100 * min(race["identical_to_fast_gliner"] for race in fast))
        below += " Beside fast-gliner, on the uni-encoder it can read: " + ", ".join(
            f"{name} {min(some):.1f}x to {max(some):.1f}x" for name, some in ratios.items() if None not in some
        )
        below += f" (the same spans in {same} % of the texts of a race or more)."
    if "memory" in data:
        memory = data["memory"]
        below += (
            f" Peak memory of a stream: {memory['peak_mb_at_a_tenth']:,} MB after {memory['texts'] // 10:,} texts, "
            f"{memory['peak_mb']:,} MB after {memory['texts']:,}."
        )
    return table(header, rows) + below + "\n\n" + where(data)


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


def teacher_sizes() -> str:
    data = result("teacher-sizes")
    rows = []
    for name, minutes in data["minutes"].items():
        at = data["sizes"][name]
        parts = [f"{minutes[part]:.1f}" for part in ("features", "unimp", "transr", "total")]
        how = "projected" if minutes["projected"] else "measured"
        rows.append([f"{at['entities']:,}", f"{at['triples']:,}", *parts, how])
    header = ["entities", "triples", "Z, min", "Z'", "Z''", "all", ""]
    below = (
        f"\n{data['threads']} threads, float32; {data['peak_mb'] / 1000:.1f} GB at most. Projected by entities (Z) and "
        f"triples (Z''); Z' of the largest from a piece of {data['measured']['piece']['entities']:,} entities that is "
        "denser than the whole. Reading the texts takes nearly all of it.\n"
    )
    return table(header, rows) + below + "\n" + where(data)


def unimp() -> str:
    data = result("unimp")
    arms = {"graph": "with edges and relations", "untyped": "with edges", "told": "with edges, half of the types told",
            "mlp": "the same network without edges"}  # fmt: skip
    rows = [
        [arms[name], *(spread(data[side][name]) for side in ("macro", "micro"))]
        for name in arms
        if name in data["macro"]
    ]
    rows.append(["always the commonest type", *(f"{data[side]['majority'][0]:.3f}" for side in ("macro", "micro"))])
    cost = data["cost"]
    below = (
        f"\nHeld-out nodes, three seeds. At BioMedGraphica's size ({cost['nodes']:,} nodes, {cost['edges']:,} edges): "
        f"an epoch in {data['epoch_s'] / 60:.1f} min ({cost['epoch_measured']}), the run over the whole graph in "
        f"{cost['whole_graph_s'] / 60:.1f} min, {data['peak_mb'] / 1000:.1f} GB at most.\n"
    )
    return table(["Graph Transformer, type of a node", "macro accuracy", "micro"], rows) + below + "\n" + where(data)


def graph() -> str:
    data = result("graph")
    rows = [
        ["build from the CSV files", f"{data['build_s'] / 60:.1f} min, {data['peak_mb'] / 1000:.1f} GB at most"],
        ["left out", f"{sum(data['rejected'].values()):,} broken rows and missing files, all counted"],
        ["open", f"{1000 * data['open_s']:.0f} ms"],
        ["neighbours", f"{data['lookups_per_s'] / 1e6:.1f} million look-ups/s"],
        ["names in text", f"{data['scan_mb_per_s']:.1f} MB/s; an index first, once, in {data['scanner_s']:.0f} s"],
        [
            "an epoch of TransR",
            f"{data['transr']['epoch_s'] / 60:.1f} min ({data['transr']['epoch_measured']}), "
            f"{data['transr']['peak_mb'] / 1000:.1f} GB",
        ],
    ]
    what = f"{data['entities']:,} entities, {data['triples']:,} triples"
    return table([what, ""], rows) + "\n" + where(data)


def transr_pykeen() -> str:
    data = result("transr")
    rows = []
    for name, found in data["datasets"].items():
        ours, theirs = (found[f"by_seed_{side}"] for side in ("ours", "pykeen"))
        rows.append(["UMLS" if name == "umls" else name.capitalize(), spread(ours), spread(theirs), f"{len(ours)}"])
    below = (
        f"\nFiltered MRR after {data['size']['epochs']} epochs. Training on the graph above with batches of 16,384, "
        f"{data['threads']} thread: {data['ours']:,} triples/s against {data['pykeen']:,} (**{data['ratio']:.0f}x**).\n"
    )
    return table(["graph", "KoGNER", "PyKEEN 1.11.1", "seeds"], rows) + below + "\n" + where(data)


def spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def scanner() -> str:
    data = result("scanner")
    names = {"bc5cdr": "BC5CDR", "ncbi": "NCBI-disease"}
    rows = [
        [names[corpus], label, *(f"{found[key]:.1f}" for key in ("precision", "recall", "f1"))]
        for corpus, arms in data["scores"]["dev"].items()
        for label, found in arms.items()
        if label in ("naive", "guard, rivals, abbreviations")
    ]
    speed = data["speed"]
    below = (
        "\nDev splits, exact spans and types; no gold mention was seen, but the guard was tuned on train splits. One "
        f"core reads {speed['first_pass_characters_per_cpu_s'] / 1e6:.1f} MB of new abstracts a second, "
        f"{max(speed['next_passes_characters_per_cpu_s']) / 1e6:.1f} MB where it has met the words.\n"
    )
    return table(["corpus", "names of the graph", "precision", "recall", "F1"], rows) + below + "\n" + where(data)


def judged() -> str:
    data = result("judged")
    low, high = data["mentions"]["interval"]
    wrong = ", ".join(f"{count} {what}" for what, count in data["wrong"].items())
    return (
        f"Of {data['mentions']['judged']} entities in {data['rows']['judged']} random sentences of 5,000 related ones, "
        f"read one by one, {data['mentions']['percent']:.1f} % are right in boundary, type and id (95 % interval "
        f"{low:.0f} to {high:.0f}, the two of a sentence taken as independent); in {data['rows']['right']} of "
        f"{data['rows']['judged']} both are. Wrong: {wrong}. Documents, offsets, ids and verdicts: "
        "`benchmarks/judged/related.jsonl`.\n\n" + where(data)
    )


def memory() -> str:
    data = result("memory")
    step = data["texts"] // len(data["by_tenth"])
    rows = [[f"{step * (place + 1):,}", f"{peak:,}"] for place, peak in enumerate(data["by_tenth"])][::2]
    rows.append([f"{data['texts']:,}", f"{data['peak_mb']:,}"])
    return table(["texts of 1 to 3 sentences, no two alike", "peak memory, MB"], rows) + "\n" + where(data)


def inside() -> str:
    data = result("inside-gliner")
    f1 = data["f1"]
    rows = [
        ["KoGNER", f"{f1['ours']:.1f}"],
        ["gliner 0.2.29, given our words", f"{f1['gliner_our_words']:.1f}"],
        ["gliner 0.2.29", f"{f1['gliner']:.1f}"],
    ]
    return table(["kogner-mini on BC5CDR test, read by", "F1"], rows) + "\n" + where(data)


def names() -> str:
    data = result("names")
    alone = data["names_alone"]
    rows = []
    for said in data["models"].values():
        for corpus, of in said["corpora"].items():
            low, high = of["difference"]["interval"]
            weights = ", ".join(f"{kind} {weight:g}" for kind, weight in of["weights"].items())
            gain = f"{of['difference']['difference']:+.2f} ({low:+.2f} to {high:+.2f}), p {of['difference']['p']:.4f}"
            figures = [f"{alone[corpus]['f1']:.1f}", f"{of['without']['f1']:.2f}", f"**{of['with']['f1']:.2f}**", gain]
            rows.append([NAMES.get(corpus, corpus), *figures, weights])
    header = ["corpus (test split)", "names alone", "model", "model with names", "difference (95 %)", "weights"]
    seconds = [
        (of["without"]["seconds"], of["with"]["seconds"])
        for said in data["models"].values()
        for of in said["corpora"].values()
    ]
    slower = sum(b for _, b in seconds) / sum(a for a, _ in seconds) - 1
    below = (
        "\nF1 of exact spans and types; weights (logits) and thresholds from dev; p and intervals: a paired bootstrap "
        f"over documents. With names the run took {100 * slower:+.0f} % time.\n"
    )
    return table(header, rows) + below + "\n" + where(data)


def low_resource() -> str:
    """A row for each setting and corpus: F1 of the arms, what the best of the graph's adds, and the means of groups."""
    from kogner.experiment.report import by_breadth, short

    data = result("low-resource")
    arms = {
        "no-graph": "no graph",
        "mse": "distilled (the paper's)",
        "silver-shuffled": "control: names of shuffled types",
        "silver-domain": "graph's names in training",
        "silver-domain-names": "and when it reads",
    }
    cells = {(row["setting"], row["corpus"], row["arm"]): row for row in data["rows"]}
    gains = {
        (one["setting"], one["corpus"], one["arm"]): one for one in data["comparisons"] if one["baseline"] == "no-graph"
    }
    rows = []
    for setting, corpus in dict.fromkeys(key[:2] for key in cells):
        own = [cells.get((setting, corpus, arm)) for arm in arms]
        if setting == "stage" or sum(one is not None for one in own) < 2:
            continue
        most = max(one["mean"] for one in own if one is not None)
        seeds = max(len(one["f1"]) for one in own if one is not None)
        figures = []
        for one in own:
            text = ""
            if one is not None:
                text = f"{one['mean']:.1f}" + (f" ± {one['sd']:.1f}" if len(one["f1"]) > 1 else "")
                few = len(one["f1"])
                text += f" (seeds: {few} of {seeds})" if few < seeds else ""
            figures.append(f"**{text}**" if one is not None and one["mean"] == most else text)
        best = [gains[setting, corpus, arm] for arm in reversed(arms) if (setting, corpus, arm) in gains]
        difference = ""
        if best:
            low, high = best[0]["interval"]
            difference = f"{best[0]['difference']:+.1f} ({low:+.1f} to {high:+.1f}), p {best[0]['p']:.4f}"
        unseen = f"{best[0]['unseen']:+.1f}" if best else ""
        share = f"{setting.rpartition('-')[2]} %"
        if setting.startswith("no-"):
            kind = setting.removeprefix("no-")
            share = "no label at all" if kind == "labels" else f"{kind} never annotated"
        counted = str(best[0]["seeds"] if best else seeds)
        rows.append([f"{NAMES.get(corpus, corpus)}, {share}", *figures, difference, unseen, counted])
    header = [
        "corpus, share of its train split",
        *arms.values(),
        "difference (95 %)",
        "recall on unseen names",
        "seeds",
    ]
    missing = f"{len(data['missing'])} trainings of the plan are not done yet. " if data["missing"] else ""
    note = (
        "Test F1, exact; difference: the rightmost arm that was run, against no graph, by a paired bootstrap over "
        f"documents and seeds. Unseen names: those of no annotated document in training. {missing}"
        "The lists of common words that keep names apart were chosen on annotated train splits, also for the rows "
        "without a label. Students that read names first take an epoch of unlabelled text more, and then go on at a "
        "quarter of the rates. All arms, controls and intervals: [docs/results.md](docs/results.md).\n\n"
    )
    summed = []
    for one in by_breadth(data["groups"]):
        low, high = one["interval"]
        gain = f"{one['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
        what = f"{one['of']}: `{one['arm']}` over `{one['baseline']}`"
        sizes = [str(len(one["settings"])), str(one["seeds"])]
        summed.append([what, *sizes, gain, f"{one['p']:.4f}", f"{one['unseen']:+.1f}"])
    columns = ["what helped, mean of the settings", "settings", "seeds, at least", "F1 (95 %)", "p"]
    gained = table([*columns, "recall on unseen names"], summed)
    places = ", ".join(f"{count} on {place}" for place, count in data["places"].items())
    revisions = ", ".join(sorted({short(one) for row in data["rows"] for one in row["revisions"]}))
    measured = f"\nTrainings: {places}; revisions {revisions}; {data['date'][:10]}.\n"
    return table(header, rows) + "\n" + note + gained + measured


def link() -> str:
    data = result("link")
    labels = {
        "casefolded look-up": "first entity of that name, any case",
        "names": "names and short forms",
        "names, vocabulary": "and ids of MeSH, OMIM wanted",
        "names, vocabulary, vectors": "and vectors where no name fits",
        "names, vocabulary, aliases": "and names from the train and dev documents",
        "all": "all of it",
    }
    rows = []
    for arm, label in labels.items():
        found = [data[corpus]["arms"].get(arm) for corpus in ("bc5cdr", "ncbi")]
        if all(found):
            rows.append(
                [label]
                + [
                    f"{of['top1']:.1f} / {of['top5']:.1f}" if "top5" in of else f"{of['top1']:.1f}"
                    for of in found
                    if of
                ]
            )
    below = "\nOf mentions whose id is in the graph, gold spans, top-1 / top-5."
    if "predicted" in data["bc5cdr"]:
        both = {NAMES[corpus]: data[corpus]["predicted"] for corpus in ("bc5cdr", "ncbi")}
        ends = ", ".join(f"{name} {of['f1']:.1f} (spans alone {of['f1_of_spans']:.1f})" for name, of in both.items())
        below += f" F1 of spans that kogner-mini finds, with their id, type and borders right: {ends}."
    return table(["", "BC5CDR test", "NCBI-disease test"], rows) + below + "\n\n" + where(data)


PUBMED = 38_000_000  # abstracts
PRICES = (0.01, 0.02, 0.05)  # of a core-hour, in whatever money: examples to scale from


def bulk() -> str:
    """What was measured of annotating into a folder, or a row that says that it was not."""
    header = ["documents", "documents/s", "cores", "documents/s and core", "memory, MB", "kills", "missing", "doubled"]
    try:
        data = result("bulk")
    except FileNotFoundError:
        return table(header, [["not measured yet", *["" for _ in header[1:]]]])
    kills = " + ".join(f"{count} of a {what}" for what, count in data["kills"].items())
    memory = ", ".join(f"{value:,} in the {name}" for name, value in data["memory_mb"].items())
    cores = data["machine"]["cores"]
    row = [
        f"{data['documents']:,}",
        f"{data['documents_per_s']:.1f}",
        str(cores),
        f"{data['documents_per_s'] / cores:.2f}",
        f"{data['peak_mb']:,} at most, {memory}",
        kills,
        str(data["missing"]),
        str(data["doubled"]),
    ]
    return table(header, [row]) + "\n" + where(data)


def bulk_cost() -> str:
    """Core-hours and price of all of PubMed, derived from the same measurement."""
    header = ["for", "core-hours", *(f"at {price:g} a core-hour" for price in PRICES)]
    try:
        data = result("bulk")
    except FileNotFoundError:
        return table(header, [[f"{PUBMED:,} abstracts", "not measured yet", *["" for _ in PRICES]]])
    per_core = data["documents_per_s"] / data["machine"]["cores"]
    hours = PUBMED / per_core / 3600
    formula = f"{PUBMED:,} / {per_core:.2f} / 3,600 = **{hours:,.0f}**"
    prices = [f"{hours:,.0f} x {price:g} = **{hours * price:,.0f}**" for price in PRICES]
    return table(header, [[f"{PUBMED:,} abstracts", formula, *prices]])


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
        f"{', with ids of the graph' if data['graph'] else ''}; one request in ten has five documents. Then "
        f"SIGTERM with {data['open_at_sigterm']} requests open. Errors: {errors}."
    )
    return table(header, [row]) + f"\n{below}\n" + where(data)


TABLES: dict[str, Callable[[], str]] = {
    "bulk": bulk,
    "bulk-cost": bulk_cost,
    "load": load,
    "mini": mini,
    "suite": suite,
    "paired": paired,
    "teacher": teacher,
    "teacher-sizes": teacher_sizes,
    "unimp": unimp,
    "graph": graph,
    "transr-pykeen": transr_pykeen,
    "inside": inside,
    "memory": memory,
    "judged": judged,
    "scanner": scanner,
    "names": names,
    "low-resource": low_resource,
    "link": link,
    "annotate": annotate,
    "annotate-avx2": lambda: annotate("annotate-avx2"),
    "training": training,
    "training-avx2": lambda: training("train-avx2"),
}


def render(name: str) -> str:
    """A table, or a line that says that it was not measured yet."""
    try:
        return TABLES[name]()
    except FileNotFoundError:
        return "Not measured yet.\n"


def main() -> None:
    stale = []
    for name in DOCUMENTS:
        file = ROOT / name
        old = file.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda match: match[1] + render(match[2]) + match[3], old)
        if new != old:
            stale.append(name)
            if "--check" not in sys.argv:
                file.write_text(new, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(f"tables of {', '.join(stale)} are not what benchmarks/results says; run: make tables")
    print(json.dumps({"updated": stale}))


if __name__ == "__main__":
    main()
