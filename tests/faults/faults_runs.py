"""Finished runs of a bundle that were never trained: what the store needs to know of them."""

from __future__ import annotations

from behavior_scaling.config import Study
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.cells import resolve
from behavior_scaling.sweep.plan import Bundle


def committed_runs(study: Study, bundle: Bundle, data: DataSpec, store: Store) -> list[Record]:
    """A record in the store for every cell of a bundle."""
    found = []
    for cell in bundle.cells:
        record = Record(spec=resolve(cell, study, data), outcome="done", metrics={"m": 0.5})
        found.append(store.commit(record, store.work_dir(record.id)))
    return found
