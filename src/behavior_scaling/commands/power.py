"""`power`: what a study's grid can tell, before any run; `coverage`: what its intervals hold."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence


def power(args: Namespace) -> int:
    """Print the chances of a plan and the runs worth adding; with --json, write them too."""
    from behavior_scaling.config import load_study
    from behavior_scaling.data.known import known, known_sizes
    from behavior_scaling.laws.planted_table import facts_of_source
    from behavior_scaling.laws.power_analysis_study import power as analyse
    from behavior_scaling.laws.power_analysis_text import described
    from behavior_scaling.laws.write import write_laws
    from behavior_scaling.layout import Layout
    from behavior_scaling.sweep.plan import make_plan

    if args.noise is not None and args.runs is not None:
        raise ValueError("power: --noise (stated) and --runs (measured) exclude one another")
    if args.json is not None and args.json.suffix != ".json":
        raise ValueError(f"power: --json {args.json}: the name must end in .json")
    study = load_study(args.config)
    prepared = Layout(args.results, study).data
    sizes = known_sizes(study.data, prepared)
    n_items, n_events, n_users = (
        known(count, study.data, prepared)
        for count in (sizes.n_items, sizes.n_events, sizes.n_users)
    )
    runs = None
    if args.runs is not None:
        import pandas as pd

        runs = pd.read_parquet(args.runs)
    report = analyse(
        study,
        lambda changed: make_plan(changed, n_items),
        facts_of_source(study, n_items, n_events, n_users),
        noise=0.01 if args.noise is None else args.noise,
        runs=runs,
        truth=_truth(args.truth),
        replicates=args.replicates,
        seed=args.seed,
        workers=len(os.sched_getaffinity(0)),
        progress=_progress(),
    )
    print(described(report))
    if args.json is not None:
        write_laws({args.json.stem: report.to_dict()}, args.json.parent)
    return 0


def coverage(args: Namespace) -> int:
    """Plant every law in designed grids and write the table of what its intervals cover."""
    from datetime import UTC, datetime

    from behavior_scaling.files import write_text
    from behavior_scaling.laws.planted_coverage import biased, proofs
    from behavior_scaling.laws.planted_coverage_text import document

    date = datetime.now(UTC).date().isoformat()
    text = document(proofs(), biased(), date, args.replicates, _progress())
    write_text(args.out, text)
    return 0


def _truth(items: Sequence[str] | None) -> dict[str, float]:
    values = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"power: --truth {item!r} is not NAME=NUMBER")
    return values


def _progress() -> Callable[[str], None]:
    started = time.monotonic()

    def show(text: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {text}", file=sys.stderr, flush=True)

    return show
