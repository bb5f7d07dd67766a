"""A study between machines: push to, and pull from, a results folder elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable

from behavior_scaling.config import Study, load_study
from behavior_scaling.layout import Layout
from behavior_scaling.records.remote import Remote
from behavior_scaling.records.share import Copy, Verdict, pull_records, push_records
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.cells import resolve, unique
from behavior_scaling.sweep.plan import make_plan

PROGRESS_SECONDS = 5.0
WORDS: dict[Verdict, str] = {
    "copied": "copied",
    "there": "there already",
    "differs": "there with other numbers, kept on both sides",
    "failed": "failed: not shared, another machine may do better",
    "damaged": "damaged: not copied",
    "absent": "not finished: they and their checkpoints stay where they are",
}


def push(args: Namespace) -> int:
    """Send a study's finished records and prepared data; 1 if something was damaged."""
    from behavior_scaling.data.share import push_data
    from behavior_scaling.data.store import Dataset

    study = load_study(args.config)
    place = Layout(args.results, study)
    remote, here = Remote(args.to), Remote(str(args.results))
    dataset = Dataset.open(place.data, verify=True)
    _say_data(place, push_data(dataset, remote, args.dry_run, args.verify), args.dry_run)
    run_ids = _run_ids(study, dataset.data_spec(), dataset.n_items)
    told = _progress(len(run_ids), args.dry_run)
    copies = push_records(Store(place.store), remote, run_ids, told, args.dry_run, args.verify)
    _beside(here, remote, place, args.dry_run)
    return _sum_up(copies, args.dry_run)


def pull(args: Namespace) -> int:
    """Bring a study's finished records and prepared data; 1 if something was damaged."""
    from behavior_scaling.data.share import pull_data, remote_meta

    study = load_study(args.config)
    place = Layout(args.results, study)
    remote, here = Remote(args.source), Remote(str(args.results))
    _say_data(place, pull_data(remote, place.data, args.dry_run), args.dry_run)
    meta = remote_meta(remote, place.data.name)
    if meta is None:
        raise ValueError(f"{args.source}: the prepared data were removed in the meantime")
    run_ids = _run_ids(study, meta.spec, meta.n_items)
    told = _progress(len(run_ids), args.dry_run)
    copies = pull_records(remote, Store(place.store), run_ids, told, args.dry_run)
    _beside(remote, here, place, args.dry_run)
    return _sum_up(copies, args.dry_run)


def _run_ids(study: Study, data: DataSpec, n_items: int) -> list[str]:
    plan = make_plan(study, n_items)
    return [resolve(cell, study, data).id for cell in unique(list(plan.cells))]


def _beside(source: Remote, target: Remote, place: Layout, dry: bool) -> None:
    """What was measured on the data; in the order in which the DAG makes one from the other."""
    from behavior_scaling.data.share import copy_beside

    card = [place.card / name for name in ("card.png", "card.csv", "card.md")]
    for path in (place.truth, place.floors, *card):
        name = path.relative_to(place.results).as_posix()
        size = copy_beside(source, target, name, dry)
        if size:
            print(f"{name}: {_would(dry)} ({_bytes(size)})")


def _say_data(place: Layout, size: int, dry: bool) -> None:
    name = place.data.relative_to(place.results).as_posix()
    print(f"{name}: {f'{_would(dry)} ({_bytes(size)})' if size else 'there already'}", flush=True)


def _progress(total: int, dry: bool) -> Callable[[Copy], None]:
    """Takes copies; prints each that a dry run would make, else where it stands, now and then."""
    lock = threading.Lock()
    seen = size = 0
    said = time.monotonic()

    def told(copy: Copy) -> None:
        nonlocal seen, size, said
        with lock:
            seen, size, now = seen + 1, size + copy.size, time.monotonic()
            if dry and copy.verdict == "copied":
                print(f"store/{copy.run_id}: would be copied ({_bytes(copy.size)})")
            if copy.reason:
                print(f"run {copy.run_id[:12]}: {WORDS[copy.verdict]}: {copy.reason}")
            if now - said >= PROGRESS_SECONDS:
                print(f"{seen} of {total} records, {_bytes(size)}", file=sys.stderr, flush=True)
                said = now

    return told


def _sum_up(copies: list[Copy], dry: bool) -> int:
    counts = Counter(copy.verdict for copy in copies)
    size = sum(copy.size for copy in copies)
    for verdict, words in WORDS.items():
        if counts[verdict]:
            what = f"{_would(dry)} ({_bytes(size)})" if verdict == "copied" else words
            print(f"records: {counts[verdict]} {what}")
    return 1 if counts["damaged"] else 0


def _would(dry: bool) -> str:
    return "would be copied" if dry else "copied"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} bytes"
