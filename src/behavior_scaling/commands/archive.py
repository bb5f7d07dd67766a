"""The step that puts a study's finished records into its archive."""

from __future__ import annotations

from argparse import Namespace
from collections import defaultdict
from pathlib import Path
from typing import Any

from behavior_scaling.config import Study, load_study
from behavior_scaling.files import read_json
from behavior_scaling.layout import Layout
from behavior_scaling.records.archive import write_archive
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.cells import resolve, unique
from behavior_scaling.sweep.plan import Plan, make_plan


def archive(args: Namespace) -> int:
    """Copy finished records to results/archive/<study>; 1 if some are not finished."""
    from behavior_scaling.data.store import Dataset

    study = load_study(args.config)
    place = Layout(args.results, study)
    dataset = Dataset.open(place.data)
    plan, data = make_plan(study, dataset.n_items), dataset.data_spec()
    if not args.partial and not place.floors.is_file():
        raise ValueError(f"{place.floors}: no floors yet: run `make data STUDY={args.config}`")
    done = write_archive(
        place.archive,
        Store(place.store),
        [resolve(cell, study, data).id for cell in unique(list(plan.cells))],
        data,
        _beside(place.floors),
        truth=_beside(place.truth),
        axes={run_id: list(names) for run_id, names in _axes(plan, study, data).items()},
        prune=args.prune,
    )
    print(
        f"{place.archive}: {done.held} records, {len(done.absent)} not finished; "
        f"{done.added} new, {done.n_bytes / 1e6:.1f} MB in all"
    )
    for run_id in done.replaced:
        print(f"replaced: {run_id}, which had failed or was gone")
    for name in done.strays:
        print(f"not of this study: {name}: {'removed' if args.prune else '--prune removes it'}")
    return 1 if done.absent and not args.partial else 0


def _beside(path: Path) -> Any:
    """What was measured on the data; None while it is not there."""
    return read_json(path, "remove it and make the study's data again") if path.is_file() else None


def _axes(plan: Plan, study: Study, data: DataSpec) -> dict[str, dict[str, None]]:
    """Run id -> the axes and arms that ask for it, in the plan's order."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in plan.cells:
        found[resolve(cell, study, data).id]["/".join(filter(None, (cell.axis, cell.arm)))] = None
    return found
