"""A store that may not be written, a run without memory, a study file that changes meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from behavior_scaling.cli import main
from behavior_scaling.config import load_study
from behavior_scaling.data.store import Dataset
from behavior_scaling.model.step import step_loss
from behavior_scaling.records.store import Store
from behavior_scaling.sweep.bundles import bundle_path, renew_requests, write_bundle
from behavior_scaling.sweep.plan import make_plan
from behavior_scaling.train import module

from ..records.helpers import example_record
from .faults_processes import BUNDLE, Child
from .faults_runs import committed_runs

DENIED = """
import ctypes
HEADER = (ctypes.c_uint32 * 2)(0x20080522, 0)  # capabilities(7), version 3, of this process
HELD = (ctypes.c_uint32 * 6)()
ctypes.CDLL(None).capget(HEADER, HELD)
HELD[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: root is asked for permission, too
ctypes.CDLL(None).capset(HEADER, HELD)
"""


@pytest.mark.parametrize("folder", [".", ".work"])
def test_a_store_that_may_not_be_written_interrupts_and_is_no_outcome(
    chain, bundle, spec, store, undisturbed, tmp_path: Path, folder: str
) -> None:
    denied = store.root / folder
    denied.mkdir(parents=True)
    denied.chmod(0o555)
    names = {"SPECS": [spec.to_dict()], "DATA": str(chain.path), "STORE": str(store.root)}
    ended = Child(tmp_path / "log", DENIED + BUNDLE, **names)
    assert ended.end() == 1
    assert "Permission denied" in ended.text
    assert store.state(spec.id) == "absent"
    denied.chmod(0o755)
    bundle(spec)
    assert store.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash


def test_memory_that_is_refused_is_an_outcome_with_its_reason(
    bundle, spec, store, undisturbed, monkeypatch
) -> None:
    """A run that fits no memory would fail again: it is named, `retry` forgets it, others go on."""

    def refused(*arguments):  # type: ignore[no-untyped-def]
        if arguments[-1] == 8:
            raise MemoryError("cannot allocate 512 GiB")
        return step_loss(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(module, "step_loss", refused)
        bundle(spec)
    record = store.load(spec.id)
    assert record.outcome == "failed"
    assert record.error is not None
    assert "MemoryError: cannot allocate 512 GiB" in record.error
    store.clear(spec.id)
    bundle(spec)
    assert store.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash


def changed(config: Path, folder: Path, **keys: object) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | keys))
    return path


def test_a_job_of_a_study_that_changed_meanwhile_trains_nothing(
    shop, tmp_path: Path, capsys
) -> None:
    """The DAG was built from the old file: its job says so, and the next call builds a new one."""
    config, raw = shop
    data, store = tmp_path / "data", tmp_path / "store"
    prepare = ["prepare", "--config", str(config), "--raw", str(raw), "--out", str(data)]
    assert main(prepare) == 0
    key = make_plan(load_study(config), Dataset.open(data).n_items).bundles[0].key
    axes = yaml.safe_load(config.read_text())["axes"]
    axes["allocation"]["budgets"] = [2e7]
    study = changed(config, tmp_path, axes=axes)
    words = ["train", "--config", str(study), "--data", str(data), "--store", str(store)]
    assert main([*words, "--bundle", key, "--out", str(tmp_path / "bundle.json")]) == 2
    assert f"no bundle {key} in this study (has the study file changed?)" in (
        capsys.readouterr().err
    )
    assert not store.exists()
    assert not (tmp_path / "bundle.json").exists()


def test_runs_on_other_data_are_new_runs_and_the_old_ones_stay(shop, tmp_path: Path) -> None:
    """Tables that were replaced: their jobs are the same, and the runs' ids tell them apart."""
    study, data = load_study(shop[0]), example_record().spec.data
    store, folder = Store(tmp_path / "store"), tmp_path / "bundles"
    plan = make_plan(study, 23)
    first = plan.bundles[0]
    records = committed_runs(study, first, data, store)
    write_bundle(bundle_path(folder, first.key), first, records)
    assert renew_requests(plan, study, data, folder, store) == []
    other = replace(data, identity="replaced")
    (message,) = renew_requests(plan, study, other, folder, store)
    assert message.endswith("is new")
    assert [store.state(record.id) for record in records] == ["done"] * len(records)
