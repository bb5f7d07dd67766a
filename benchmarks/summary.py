"""One table of what the benchmarks found, each figure beside what it is held against.

    python benchmarks/summary.py [--results results]

Reads results/bench/*.json, as the other benchmarks left them; prints the table and writes it to
results/bench/summary.md. A benchmark that has not run is named, not left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from behavior_scaling.files import write_text

Row = tuple[str, str, str, str]  # what, measured, held against, ratio or target
Found = Any  # what a benchmark wrote


def loss(found: Found) -> Iterator[Row]:
    """Time and memory by number of candidates."""
    rows = {(r["contestant"], r["candidates"], r["frozen"]): r for r in found}
    for (name, candidates, frozen), ours in rows.items():
        if name != "ours":
            continue
        stage = "frozen" if frozen else "trained"
        what = f"loss, {candidates:,} {stage} candidates, d = {ours['width']}"
        measured = f"{ours['seconds']:.2f} s, {ours['peak_mib']:.0f} MiB"
        naive = rows.get(("naive", candidates, frozen))
        if naive is None:
            yield what, measured, "naive: its logits alone exceed 2 GiB", ""
            continue
        against = f"naive: {naive['seconds']:.2f} s, {naive['peak_mib']:.0f} MiB"
        yield what, measured, against, f"{naive['seconds'] / ours['seconds']:.1f}x"


def memory(found: Found) -> Iterator[Row]:
    """Predicted bytes."""
    for r in found["shapes"]:
        what = f"memory, {r['name']}, {r['precision']}"
        measured = f"{r['measured'] / 2**20:.0f} MiB"
        yield what, measured, f"predicted {r['predicted'] / 2**20:.0f} MiB", f"{r['ratio']:.2f}"


def shapes(found: Found) -> Iterator[Row]:
    """Share of the machine."""
    for r in found:
        what = f"training, d = {r['d']}, e = {r['e']}, {r['layers']} layers, B = {r['batch']}"
        measured = f"{r['executed_gflops']:.1f} GFLOP/s, {r['ms_a_step']:.1f} ms a step"
        yield what, measured, f"products alone {r['matmul_gflops']:.1f}", f"{r['share']:.0%}"


def start_up(found: Found) -> Iterator[Row]:
    """Start-up of jobs."""
    for job in found["jobs"]:
        measured = f"{job['start_up_seconds_a_run']:.2f} s a run"
        target = "at most 5 s" if job["runs"] == 1 else "at most 0.5 s"
        yield f"start-up, a job of {job['runs']}", measured, "", target


def ranking(found: Found) -> Iterator[Row]:
    """Evaluation against libraries."""
    for case in found["peers"]:
        for name, peer in case.items():
            if isinstance(peer, dict) and not name.startswith("ours"):
                ours = case["ours, alone"]["seconds"]
                what = f"ranking metrics, {case['positions']:,} x {case['items']:,}"
                ratio = f"{peer['seconds'] / ours:.1f}x"
                yield what, f"{ours:.3f} s", f"{name}: {peer['seconds']:.2f} s", ratio


def peers(found: Found) -> Iterator[Row]:
    """Training against other models' trainers."""
    for shape, rates in found["targets_per_second"].items():
        for name, ratios in found["ratios"][shape].items():
            for base, ratio in ratios.items():
                rate = f"{rates[name]['median']:,.0f} targets/s"
                yield f"training, {shape}, {name}", rate, base, f"{ratio:.2f}x"


def engines(found: Found) -> Iterator[Row]:
    """The engine of preparation against another."""
    medians = {n: sorted(run["seconds"] for run in runs)[1] for n, runs in found.items()}
    ours, other = medians["duckdb"], medians["polars"]
    yield "join and sort, duckdb", f"{ours:.1f} s", f"polars: {other:.1f} s", f"{other / ours:.1f}x"


def preparation(found: Found) -> Iterator[Row]:
    """Events a second and memory."""
    for row in found:
        rate = f"{row['events_a_second'] / 1e6:.2f}M events/s, {row['peak_gib']:.2f} GiB"
        yield f"preparation, {row['events']:,} events", rate, "", "at least 1M/s, at most 4 GiB"


def worlds(found: Found) -> Iterator[Row]:
    """Events drawn, and the entropy."""
    for row in found:
        what = f"{row['world']} given {row['given']}"
        rate = f"{row['drawn'] / 1e6:.1f}M events/s drawn, H = {row['mean']:.3f} nats"
        yield what, rate, "", "at least 1M/s"


def figures(found: Found) -> Iterator[Row]:
    """A shipped study from its archive to the paper."""
    for row in found["steps"]:
        measured = f"{row['seconds']:.1f} s, {row['processor_seconds']:.1f} s of processor"
        target = "at most 60 s" if row["step"] == "make figures" else ""
        yield f"{sum(found['runs'].values())} archived runs, {row['step']}", measured, "", target


READERS: dict[str, Callable[[Found], Iterator[Row]]] = {
    "shapes": shapes,
    "loss": loss,
    "memory": memory,
    "throughput": start_up,
    "ranking": ranking,
    "engines": engines,
    "preparation": preparation,
    "worlds": worlds,
    "figures": figures,
    "peers": peers,
}


def main() -> None:
    """Read, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    folder = parser.parse_args().results / "bench"
    lines = ["| what | measured | held against | ratio, share or target |", "|---|---|---|---|"]
    for name, reader in READERS.items():
        file = folder / f"{name}.json"
        if not file.is_file():
            lines.append(f"| {name} | not run here ({file} is missing) | | |")
            continue
        lines += ["| " + " | ".join(row) + " |" for row in reader(json.loads(file.read_text()))]
    text = "\n".join(lines) + "\n"
    write_text(folder / "summary.md", text)
    print(text)


if __name__ == "__main__":
    main()
