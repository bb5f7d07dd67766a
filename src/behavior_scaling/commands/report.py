"""Steps from the table of runs to what is read."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection

import pandas as pd

from behavior_scaling.files import read_json


def fit(args: Namespace, only: Collection[str] | None = None) -> int:
    """Fit every law of the study, or of some metrics, and write one JSON file each."""
    from behavior_scaling.laws.study import fit_study
    from behavior_scaling.laws.write import write_laws

    users, probes = (
        None if path is None else pd.read_parquet(path) for path in (args.users, args.probes)
    )
    floors = read_json(args.floors, "remove it and run `floors` again")
    prediction = None
    if args.prediction is not None:
        prediction = read_json(args.prediction, "restore it from git: it cannot be made again")
    laws = fit_study(
        pd.read_parquet(args.runs),
        floors,
        users=users,
        probes=probes,
        prediction=prediction,
        workers=args.workers,
        only=only,
    )
    write_laws(laws, args.out)
    return 0


def figure(args: Namespace) -> int:
    """Draw figures, each with its CSV."""
    from behavior_scaling.report.figures import make_figures

    make_figures(args.names, args.results, args.floors, args.results / "figures")
    return 0


def tables(args: Namespace) -> int:
    """Write the tables."""
    from behavior_scaling.report.tables import make_tables

    make_tables(args.results, args.floors)
    return 0


def claims(args: Namespace) -> int:
    """Judge the paper's statements."""
    from behavior_scaling.report.claims import make_claims

    make_claims(args.results)
    return 0


def numbers(args: Namespace) -> int:
    """Write down every number that a text prints."""
    from behavior_scaling.report.numbers import make_numbers

    make_numbers(args.results, args.floors, args.config)
    return 0


def paper(args: Namespace) -> int:
    """Build the paper."""
    from behavior_scaling.report.paper import make_paper

    make_paper(args.results, args.template, args.out)
    return 0


def compare(args: Namespace) -> int:
    """Fresh figures against promoted ones; 1 where they differ."""
    from behavior_scaling.report.promote import compare as differences

    found = differences(args.results, args.promoted)
    for difference in found:
        print(difference)
    print(f"{len(found)} figures differ from {args.promoted}")
    return 1 if found else 0


def promote(args: Namespace) -> int:
    """Copy figures to the committed folder, with checksums, and update the README."""
    from behavior_scaling.report.number import load_numbers
    from behavior_scaling.report.promote import promote as copy_figures
    from behavior_scaling.report.readme import update_readme

    copy_figures(args.results, args.promoted)
    changed = update_readme(args.readme, load_numbers(args.results / "numbers.json"))
    print(f"{args.promoted}: promoted; {args.readme} {'updated' if changed else 'left as it is'}")
    return 0
