"""The graph and its teacher: what they know and what they cost."""

from __future__ import annotations

from tabulated.markdown import result, spread, table, where


def graph() -> str:
    data = result("graph")
    rows = [
        ["build from the CSV files", f"{data['build_s'] / 60:.1f} min, {data['peak_mb'] / 1000:.1f} GB at most"],
        ["left out", f"{sum(data['rejected'].values()):,} broken rows and missing files, counted by reason"],
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
    scan = 10 / data["scan_mb_per_s"]
    goals = {
        f"built in 10 min ({data['build_s'] / 60:.1f})": data["build_s"] < 600,
        f"with 8 GB ({data['peak_mb'] / 1000:.1f})": data["peak_mb"] < 8000,
        f"opened in 1 s ({data['open_s']:.3f})": data["open_s"] < 1,
        f"1,000,000 look-ups/s ({data['lookups_per_s']:,})": data["lookups_per_s"] >= 1_000_000,
        f"10 MB of text in 2 s ({scan:.1f}, of few and repeated words)": scan < 2,
    }
    met, missed = ([name for name, reached in goals.items() if reached is which] for which in (True, False))
    said = f"\nGoals met: {'; '.join(met)}." + (f" Missed: {'; '.join(missed)}." if missed else "") + "\n"
    return table([what, ""], rows) + said + "\n" + where(data)


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
