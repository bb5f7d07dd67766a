"""Bundle files: what a job leaves behind, and when that no longer stands for its records.

A bundle file is only an index (ids, outcomes, numeric hashes); the records live in the store.
Snakemake sees files and dates alone, so every bundle has a request file as its input, and a request
is renewed, before the DAG is built, when the bundle's records are gone, damaged or other than it
says: the job comes back, trains what is missing and nothing else, and all that follows is redone.
(Removing the bundle file would not do: Snakemake leaves a lost file alone while what was made from
it stands.) A bundle whose records are all there, trained elsewhere or brought from another machine,
gets its file at the same time: no job has to run to see that nothing is left to do.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from behavior_scaling.config import Study
from behavior_scaling.files import write_text
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.cells import resolve
from behavior_scaling.sweep.plan import Bundle, Plan


def bundle_path(folder: Path, key: str) -> Path:
    """The file of a bundle."""
    return folder / f"{key}.json"


def request_path(folder: Path, key: str) -> Path:
    """The file that asks for a bundle: newer than the bundle file when the job must run."""
    return folder / f"{key}.request"


def write_bundle(path: Path, bundle: Bundle, records: list[Record]) -> None:
    """Write a finished job's file."""
    rows = [
        {"id": r.id, "outcome": r.outcome, "error": r.error, "numeric_hash": r.numeric_hash}
        for r in records
    ]
    write_text(path, json.dumps({"bundle": bundle.key, "runs": rows}, indent=1) + "\n")


def stale_bundles(
    plan: Plan, study: Study, data: DataSpec, folder: Path, store: Store
) -> Iterator[tuple[Path, str]]:
    """Bundle files that no longer stand for their records, each with the reason."""
    for bundle in plan.bundles:
        path = bundle_path(folder, bundle.key)
        if path.is_file():
            reason = _why_stale(path, bundle, study, data, store)
            if reason:
                yield path, reason


def renew_requests(
    plan: Plan, study: Study, data: DataSpec | None, folder: Path, store: Store
) -> list[str]:
    """Write the requests that are absent, the files of bundles that are done, and renew the rest.

    Args:
        plan: the study's plan.
        study: the study.
        data: the prepared data; None while there are none, and so no runs either.
        folder: where bundle files and requests lie.
        store: the records.

    Returns:
        One message for each stale bundle.
    """
    for bundle in plan.bundles:
        if not request_path(folder, bundle.key).is_file():
            write_text(request_path(folder, bundle.key), f"{bundle.key}\n")
    if data is None:
        return []
    for bundle in plan.bundles:  # parents first, as their files are no newer than their children's
        if not bundle_path(folder, bundle.key).is_file():
            _settle(bundle, study, data, folder, store)
    messages = []
    for path, reason in stale_bundles(plan, study, data, folder, store):
        # The time makes the content new: Snakemake forgives a newer date on the same content.
        write_text(request_path(folder, path.stem), f"{time.time_ns()} {path.stem}: {reason}\n")
        asked = request_path(folder, path.stem).stat().st_mtime
        if path.stat().st_mtime >= asked:  # written before a clock was set back
            os.utime(path, (asked - 1, asked - 1))
        messages.append(f"bundle {path.stem} will run again: {reason}")
    return messages


def _settle(bundle: Bundle, study: Study, data: DataSpec, folder: Path, store: Store) -> None:
    try:
        records = [store.load(resolve(cell, study, data).id) for cell in bundle.cells]
    except RecordError:
        return
    write_bundle(bundle_path(folder, bundle.key), bundle, records)


def _why_stale(path: Path, bundle: Bundle, study: Study, data: DataSpec, store: Store) -> str:
    try:
        stated = {row["id"]: row["numeric_hash"] for row in json.loads(path.read_text())["runs"]}
    except (ValueError, KeyError, TypeError):
        return "its file is damaged"
    for cell in bundle.cells:
        run_id = resolve(cell, study, data).id
        if run_id not in stated:
            return f"run {run_id[:12]} is new"
        try:
            record = store.load(run_id)
        except RecordError as error:
            return str(error)
        if record.numeric_hash != stated[run_id]:
            return f"run {run_id[:12]} holds other numbers than the file says"
    return ""
