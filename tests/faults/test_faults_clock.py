"""Clocks that jump while a run trains, and files that are dated in the future."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest

from behavior_scaling.config import load_study
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.bundles import (
    bundle_path,
    renew_requests,
    request_path,
    write_bundle,
)
from behavior_scaling.sweep.plan import make_plan

from ..records.helpers import example_record
from .faults_runs import committed_runs

YEAR = 365 * 86_400.0


def test_a_clock_that_jumps_changes_no_number_and_no_duration(
    bundle, spec, store, undisturbed, monkeypatch
) -> None:
    """At every look the clock stands hours before or after: durations come from another clock."""
    expected = undisturbed(spec).numeric_hash
    jumps = itertools.cycle((-5 * 3600.0, 7 * 3600.0, 0.0))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * (now() + next(jumps))))
    bundle(spec)
    record = store.load(spec.id)
    assert record.numeric_hash == expected
    seconds = {name: value for name, value in record.timings.items() if name.endswith("seconds")}
    assert seconds
    assert all(0 <= value < 3600 for value in seconds.values()), seconds


def test_a_bundle_file_of_the_future_does_not_hide_a_lost_run(shop, tmp_path: Path) -> None:
    """Written before a clock was set back, it is newer than any request for its runs."""
    study, data = load_study(shop[0]), example_record().spec.data
    store, folder = Store(tmp_path / "store"), tmp_path / "bundles"
    plan = make_plan(study, 23)
    whole = plan.bundles[0]
    renew_requests(plan, study, data, folder, store)
    records = committed_runs(study, whole, data, store)
    path = bundle_path(folder, whole.key)
    write_bundle(path, whole, records)
    os.utime(path, (time.time() + YEAR,) * 2)
    assert renew_requests(plan, study, data, folder, store) == []

    store.clear(records[0].id)
    assert len(renew_requests(plan, study, data, folder, store)) == 1
    asked = request_path(folder, whole.key).stat().st_mtime_ns
    assert asked > path.stat().st_mtime_ns  # the date is all that Snakemake sees
    assert asked <= time.time_ns()


@pytest.mark.parametrize("shift", [-YEAR, YEAR])
def test_prepared_data_of_another_date_are_the_same_data(chain, spec, bundle, store, shift) -> None:
    for file in chain.path.iterdir():
        os.utime(file, (time.time() + shift,) * 2)
    bundle(spec)
    assert store.state(spec.id) == "done"
