"""Steps from a study to its table of runs."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from behavior_scaling.config import Study, load_study
from behavior_scaling.files import write_text
from behavior_scaling.layout import Layout
from behavior_scaling.records.spec import NUMERICS, RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.cells import resolve, unique
from behavior_scaling.sweep.plan import Plan, make_plan


def _plan(study: Study, place: Layout, archived: Path | None = None) -> Plan:
    from behavior_scaling.data.known import known, known_sizes

    n_items = known_sizes(study.data, place.data, archived or place.shipped).n_items
    return make_plan(study, known(n_items, study.data, place.data))


def _specs(study: Study, place: Layout) -> list[RunSpec]:
    from behavior_scaling.data.store import Dataset

    data = Dataset.open(place.data).data_spec()
    return [resolve(cell, study, data) for cell in unique(list(_plan(study, place).cells))]


def sweep(args: Namespace) -> int:
    """Print the plan."""
    from behavior_scaling.sweep.explain import explain

    study = load_study(args.config)
    lines = list(explain(study, _plan(study, Layout(args.results, study))))
    print("\n".join(lines if args.explain else lines[-1:]).strip())
    return 0


def train(args: Namespace) -> int:
    """Train a bundle; a failed run is an outcome, not an error of the step."""
    from behavior_scaling.commands.status import after_every_run
    from behavior_scaling.data.store import Dataset
    from behavior_scaling.sweep.bundles import write_bundle
    from behavior_scaling.sweep.execution import execution_of
    from behavior_scaling.train.bundle import train_bundle
    from behavior_scaling.train.devices import devices
    from behavior_scaling.train.interrupt import InterruptedRunError
    from behavior_scaling.train.job_clock import process_began

    study = load_study(args.config)
    dataset = Dataset.open(args.data, verify=True)
    plan = make_plan(study, dataset.n_items)
    bundle = plan.bundle(args.bundle)
    data = dataset.data_spec()
    specs = [resolve(cell, study, data) for cell in bundle.cells]
    store = Store(args.store)
    done = after_every_run(study, plan, dataset.n_items, data, store, _log)
    seconds = study.execution.checkpoint_seconds
    executions = [execution_of(cell, study, dataset.n_items) for cell in bundle.cells]
    wanted = [
        execution.devices
        for spec, execution in zip(specs, executions, strict=True)
        if store.state(spec.id) in ("absent", "damaged")
    ]
    try:
        with devices(max(wanted, default=0), _log):
            train_bundle(specs, dataset, store, seconds, _log, process_began(), executions, done)
    except InterruptedRunError as error:
        _log(f"{error}; finished runs are kept, the same command goes on")
        return 130
    write_bundle(args.out, bundle, [store.load(spec.id) for spec in specs])
    return 0


def collect(args: Namespace) -> int:
    """Gather the records of a study's cells, missing and failed ones by name."""
    from behavior_scaling.data.store import Dataset
    from behavior_scaling.records.archive import Archive
    from behavior_scaling.sweep.collect import collect_runs, write_table
    from behavior_scaling.sweep.collect_beside import (
        Records,
        Remembered,
        collect_probes,
        collect_users,
        collected_ids,
    )

    study = load_study(args.config)
    plan = _plan(study, Layout(args.results, study), args.archive)
    records: Records
    if args.archive:
        records = archive = Archive(args.archive)
        data, numerics = archive.data, archive.numerics
        if args.floors:
            write_text(args.floors, json.dumps(archive.floors, indent=1) + "\n")
    elif args.data and args.store:
        records, data = Store(args.store), Dataset.open(args.data).data_spec()
        numerics = NUMERICS
    else:
        raise ValueError("collect reads --archive, or --data with --store")
    records = Remembered(records)
    table = collect_runs(study, plan, data, records.load, numerics)
    ids = collected_ids(table)
    write_table(collect_users(ids, records), args.users)
    write_table(collect_probes(ids, records), args.probes)
    write_table(table, args.out)
    return 0


def retry(args: Namespace) -> int:
    """Clear outcomes that are not 'done'; the next call of snakemake trains them again."""
    study = load_study(args.config)
    place = Layout(args.results, study)
    store = Store(place.store)
    cleared = 0
    for spec in _specs(study, place):
        if store.state(spec.id) in ("failed", "diverged"):
            print(f"cleared {spec.id}: {store.load(spec.id).error}")
            store.clear(spec.id)
            cleared += 1
    print(f"{cleared} runs will be trained again")
    return 0


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
