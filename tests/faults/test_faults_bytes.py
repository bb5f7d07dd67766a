"""Flipped, missing and truncated bytes: of records, of the files beside them, of checkpoints, of
bundle files. Each is noticed, or is the same content as before.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
import torch

from behavior_scaling.cli import main
from behavior_scaling.config import load_study
from behavior_scaling.data.store import Dataset
from behavior_scaling.records.archive import MANIFEST, Archive, write_archive
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.store import CHECKPOINT, RECORD, USERS, Store
from behavior_scaling.sweep.bundles import bundle_path, renew_requests, write_bundle
from behavior_scaling.sweep.plan import make_plan
from behavior_scaling.train.run import EMBEDDER, RANKS

from ..records.helpers import example_record
from .faults_runs import committed_runs

MASKS = (0x01, 0x20, 0x80)  # a digit or a sign, upper and lower case, no UTF-8


def flip(path: Path, place: int, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= mask
    path.write_bytes(content)


@pytest.fixture
def committed(tmp_path: Path) -> tuple[Store, Record]:
    store, record = Store(tmp_path / "store"), example_record()
    work = store.work_dir(record.id)
    (work / USERS).write_bytes(b"users")
    return store, store.commit(record, work)


def test_no_flipped_byte_of_a_record_goes_unnoticed(committed) -> None:
    """Every third byte of it."""
    store, record = committed
    path = store.path(record.id) / RECORD
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        flip(path, place, MASKS[place // 3 % 3])
        assert store.state(record.id) == "damaged", place
        path.write_bytes(whole)
    assert store.load(record.id) == record


def test_no_flipped_byte_of_an_archive_changes_a_number(committed, tmp_path: Path) -> None:
    store, record = committed
    folder = tmp_path / "archive"
    write_archive(folder, store, [record.id], record.spec.data, {"validation": {}})
    path = folder / MANIFEST
    whole, seen = path.read_bytes(), 0
    for place in range(0, len(whole), 3):
        flip(path, place, MASKS[place // 3 % 3])
        try:
            assert Archive(folder).load(record.id) == record
        except RecordError:
            seen += 1
        path.write_bytes(whole)
    assert seen > len(whole) / 9  # the rest are letters of the floors and of the data's facts


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stores with one run each, by run id: made once, copied by tests."""
    return {"folder": tmp_path_factory.mktemp("trained")}


@pytest.fixture
def kept(trained, bundle, spec, store, undisturbed) -> Store:
    """The test's store, holding the run."""
    made = trained["folder"] / spec.id
    if made.exists():
        shutil.copytree(made, store.root)
    else:
        bundle(spec)
        shutil.copytree(store.root, made)
    assert store.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash
    return store


@pytest.mark.parametrize("name", [RECORD, RANKS, EMBEDDER, USERS])
def test_a_run_with_a_flipped_byte_is_trained_again(
    kept, bundle, spec, undisturbed, name: str
) -> None:
    path = kept.path(spec.id) / name
    flip(path, path.stat().st_size // 2)
    assert kept.state(spec.id) == "damaged"
    with pytest.raises(RecordError, match=name.replace(".", r"\.")):
        kept.load(spec.id)
    assert "done after" in bundle(spec)[-1]
    assert kept.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash


@pytest.mark.parametrize("copied", ["nothing", "all but the record", "the record alone", "halves"])
def test_a_half_copied_run_is_trained_again(kept, bundle, spec, undisturbed, copied: str) -> None:
    """What an interrupted copy of the store leaves: an empty folder, some files, short files."""
    for file in list(kept.path(spec.id).iterdir()):
        if copied == "halves":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        elif copied == "nothing" or (file.name == RECORD) == (copied == "all but the record"):
            file.unlink()
    if copied == "nothing":  # an empty folder says as little as none
        assert kept.state(spec.id) in ("absent", "damaged")
    else:
        assert kept.state(spec.id) == "damaged"
    bundle(spec)
    assert kept.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash


def test_a_store_that_is_empty_or_gone_is_a_store_without_runs(bundle, spec, store) -> None:
    assert store.state(spec.id) == "absent"
    store.root.mkdir()
    assert store.state(spec.id) == "absent"
    assert "done after" in bundle(spec)[-1]


def test_a_checkpoint_with_a_flipped_byte_costs_time_but_no_numbers(
    struck, bundle, spec, store, undisturbed
) -> None:
    """torch.load reads past wrong checksums: most such flips would have entered the weights."""
    struck(f"at('{CHECKPOINT}', 6, kill)", spec).end()
    work = store.work_dir(spec.id)
    whole = (work / CHECKPOINT).read_bytes()
    path, right = work / CHECKPOINT, flat(torch.load(work / CHECKPOINT, weights_only=True))
    unnoticed = []
    for place in range(0, len(whole), len(whole) // 20):
        flip(path, place)
        with contextlib.suppress(Exception):  # torch has noticed
            unnoticed += [place] if flat(torch.load(path, weights_only=True)) != right else []
        path.write_bytes(whole)
    assert unnoticed  # else the checksums would need no looking at

    flip(path, unnoticed[len(unnoticed) // 2])
    assert "cannot be read, the run starts anew" in bundle(spec)[0]
    assert store.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash


def flat(state: object) -> object:
    if isinstance(state, torch.Tensor):
        return state.numpy().tobytes()
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [flat(value) for value in state]
    return state


def test_a_flipped_byte_of_prepared_data_stops_training_and_is_mended(
    shop, tmp_path: Path, capsys
) -> None:
    config, raw = shop
    data, store = tmp_path / "data", tmp_path / "store"
    prepare = ["prepare", "--config", str(config), "--raw", str(raw), "--out", str(data)]
    assert main(prepare) == 0
    identity = Dataset.open(data).data_spec().identity
    flip(data / "items.npy", -4)
    key = make_plan(load_study(config), Dataset.open(data).n_items).bundles[0].key
    words = ["train", "--config", str(config), "--data", str(data), "--store", str(store)]
    assert main([*words, "--bundle", key, "--out", str(tmp_path / "bundle.json")]) == 2
    assert "items.npy: does not have the SHA-256" in (said := capsys.readouterr().err)
    assert "remove meta.json and prepare it again" in said
    assert not store.exists()

    (data / "meta.json").unlink()
    assert main(prepare) == 0
    assert Dataset.open(data, verify=True).data_spec().identity == identity


DAMAGES = {
    "empty": lambda text: b"",
    "truncated": lambda text: text[:-30],
    "another form": lambda text: b"[]",
    "no text": lambda text: bytes([text[0] ^ 0x80]) + text[1:],
    "another hash": lambda text: text.replace(b'"numeric_hash": "', b'"numeric_hash": "0'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_file_asks_for_its_runs_and_trains_none_that_is_there(
    shop, tmp_path: Path, damage: str
) -> None:
    study = load_study(shop[0])
    data = example_record().spec.data
    store, folder = Store(tmp_path / "store"), tmp_path / "bundles"
    plan = make_plan(study, 23)
    whole = plan.bundles[0]
    renew_requests(plan, study, data, folder, store)
    records = committed_runs(study, whole, data, store)
    path = bundle_path(folder, whole.key)
    write_bundle(path, whole, records)
    assert renew_requests(plan, study, data, folder, store) == []

    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    (message,) = renew_requests(plan, study, data, folder, store)
    assert f"bundle {whole.key} will run again" in message
    assert [store.state(record.id) for record in records] == ["done"] * len(records)


def test_a_truncated_file_of_a_step_is_named_with_what_to_do(shop, tmp_path, capsys) -> None:
    config, raw = shop
    half = tmp_path / "raw.json"
    half.write_bytes(raw.read_bytes()[:20])
    words = ["prepare", "--config", str(config), "--raw", str(half), "--out", str(tmp_path / "d")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"{half}: truncated or damaged" in said
    assert "remove it and fetch again" in said
