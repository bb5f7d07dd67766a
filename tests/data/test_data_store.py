"""The prepared folder: whole or absent, checked when it is opened."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import prepare, sequence, store_write
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.store import Dataset
from behavior_scaling.records.spec import DataSpec

LINES = [(0, 2, 1), (0, 1, 5), (1, 0, 3), (0, 1, 100), (2, 2, 101), (1, 2, 102)]
CONFIG = DataConfig(
    least_targets=0, source="tiny", train_fraction=0.55, tokens=3, context=8, codebook=512
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_prepared_is_what_opens(tmp_path: Path, tables) -> None:
    made = prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")
    opened = Dataset.open(tmp_path / "d", verify=True)

    assert opened.meta == made.meta
    assert opened.items.tolist() == [2, 1, 1, 0, 2, 2]
    assert opened.times.tolist() == [1, 5, 100, 3, 102, 101]
    assert (opened.n_events, opened.n_users, opened.n_items) == (6, 3, 3)
    assert opened.codes.shape == (3, 3)
    assert opened.item_ids.tolist() == [0, 1, 2]
    assert names(tmp_path) == ["d"]
    assert opened.data_spec() == DataSpec(
        source="tiny",
        identity=opened.meta.spec.identity,
        context=8,
        tokens=3,
        codebook=512,
        numeric_bins=16,
        subwords=4,
        split="time",
        train_fraction=0.55,
        last_n=10,
        train_users=1.0,
        session_gap=3600,
    )


def test_arrays_are_maps_that_nobody_can_write(tmp_path: Path, tables) -> None:
    dataset = prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")

    assert isinstance(dataset.items.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        dataset.items[0] = 1


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path, tables) -> None:
    for name in ("one", "two"):
        prepare_tables(tables(LINES, 3), CONFIG, tmp_path / name)

    for file in names(tmp_path / "one"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_an_earlier_preparation_is_replaced(tmp_path: Path, tables) -> None:
    prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")
    again = prepare_tables(tables(LINES[:-1], 5), CONFIG, tmp_path / "d")

    assert again.n_items == Dataset.open(tmp_path / "d", verify=True).n_items == 5
    assert names(tmp_path) == ["d"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path, tables) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("years of work")

    with pytest.raises(DataError, match="d: the prepared data could not be written"):
        prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")

    assert (tmp_path / "d" / "thesis.txt").read_text() == "years of work"
    assert names(tmp_path) == ["d"]


def test_what_is_left_of_prepared_data_is_replaced(tmp_path: Path, tables) -> None:
    """Snakemake removes the declared output, meta.json, before it runs the rule again."""
    prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")
    (tmp_path / "d" / "meta.json").unlink()

    assert prepare_tables(tables(LINES[:-1], 3), CONFIG, tmp_path / "d").n_events == 5
    assert names(tmp_path) == ["d"]


def test_text_ids_are_kept_in_order_of_text(tmp_path: Path, tables) -> None:
    given = tables(LINES, 3)
    for table in (given.events, given.items):
        table["item_id"] = table["item_id"].map({0: "b", 1: "a", 2: "10"})
    dataset = prepare_tables(given, CONFIG, tmp_path / "d")

    assert dataset.item_ids.tolist() == ["10", "a", "b"]
    assert dataset.item_ids[dataset.items].tolist() == ["10", "a", "a", "b", "10", "10"]


STAGES = {  # where a preparation may be struck: what it calls, and in which module
    "the engine reads": (prepare, "canonical_events"),
    "sequences are written": (sequence.NpyWriter, "append"),
    "events are split": (prepare, "assign_splits"),
    "items are coded": (prepare, "write_item_features"),
    "levels are written": (prepare, "write_event_levels"),
    "arrays are saved": (store_write.np, "save"),
    "files are hashed": (prepare, "hashes"),
    "facts are written": (store_write.dataclasses, "asdict"),
    "the whole is checked": (store_write.Dataset, "open"),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("blow", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("prepared_before", [False, True])
def test_a_preparation_struck_at_any_stage_leaves_what_was(
    tmp_path: Path, tables, monkeypatch, stage: str, blow: BaseException, prepared_before: bool
) -> None:
    target = tmp_path / "d"
    if prepared_before:
        prepare_tables(tables(LINES[:-1], 3), CONFIG, target)
    before = names(tmp_path)

    def struck(*_args: object, **_options: object) -> None:
        raise blow

    with monkeypatch.context() as patched:
        patched.setattr(*STAGES[stage], struck)
        expected = DataError if isinstance(blow, OSError) else KeyboardInterrupt
        with pytest.raises(expected, match="No space left" if expected is DataError else None):
            prepare_tables(tables(LINES, 3), CONFIG, target)

    assert names(tmp_path) == before
    if prepared_before:
        assert Dataset.open(target, verify=True).n_events == 5


def test_what_a_killed_preparation_left_is_cleared_by_the_next(tmp_path: Path, tables) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from behavior_scaling.data.store_write import preparing\n"
        "with preparing(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'items.npy').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "d")], check=False)
    assert done.returncode == -signal.SIGKILL
    left = names(tmp_path)
    assert len(left) == 1
    assert not (tmp_path / "d").exists()

    with store_write.preparing(tmp_path / "d") as living:  # another one at work stays
        prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")
        assert names(tmp_path) == sorted([living.name, "d"])
    assert names(tmp_path) == ["d"]


def test_an_altered_file_is_found(tmp_path: Path, tables) -> None:
    prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")
    file = tmp_path / "d" / "items.npy"
    content = bytearray(file.read_bytes())
    content[-4] ^= 1
    file.write_bytes(content)

    Dataset.open(tmp_path / "d")  # the cheap way does not read it
    with pytest.raises(DataError, match=r"items\.npy: does not have the SHA-256"):
        Dataset.open(tmp_path / "d", verify=True)


def test_a_short_or_missing_file_is_found_without_reading(tmp_path: Path, tables) -> None:
    prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")
    np.save(tmp_path / "d" / "times.npy", np.zeros(5, dtype="<i8"))
    with pytest.raises(DataError, match=r"times\.npy: is <i8\(5,\), meta\.json wants <i8\(6,\)"):
        Dataset.open(tmp_path / "d")

    (tmp_path / "d" / "times.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"times\.npy: no readable array"):
        Dataset.open(tmp_path / "d")

    (tmp_path / "d" / "times.npy").unlink()
    with pytest.raises(DataError, match=r"times\.npy: missing"):
        Dataset.open(tmp_path / "d")


def test_pickles_are_not_read(tmp_path: Path, tables) -> None:
    prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")
    np.save(tmp_path / "d" / "times.npy", np.array([{}] * 6, dtype=object), allow_pickle=True)

    with pytest.raises(DataError, match=r"times\.npy: no readable array"):
        Dataset.open(tmp_path / "d")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("format"), "not of format 2"),
        (lambda raw: raw["facts"].pop("t1"), "lacks or misnames .*t1"),
        (lambda raw: raw["facts"]["spec"].pop("tokens"), "lacks or misnames .*tokens"),
        (lambda raw: raw.pop("files"), "lacks or misnames 'files'"),
    ],
)
def test_an_unusable_meta_is_refused(tmp_path: Path, tables, change, message: str) -> None:
    prepare_tables(tables(LINES, 3), CONFIG, tmp_path / "d")
    file = tmp_path / "d" / "meta.json"
    raw = json.loads(file.read_text())
    change(raw)
    file.write_text(json.dumps(raw))

    with pytest.raises(DataError, match=message):
        Dataset.open(tmp_path / "d")


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: holds no prepared data"):
        Dataset.open(tmp_path)


def test_session_ids_make_the_sessions(tmp_path: Path, tables) -> None:
    lines = [(0, 1, 1), (0, 2, 1), (0, 0, 90_000), (1, 0, 2), (1, 1, 100_000)]
    given = tables(lines, 3)
    given.events["session_id"] = ["a", "a", "a", "b", "c"]
    named = prepare_tables(given, CONFIG, tmp_path / "named")
    silent = prepare_tables(tables(lines, 3), CONFIG, tmp_path / "silent")

    assert named.sessions.tolist() == [0, 0, 0, 1, 2]
    assert silent.sessions.tolist() == [0, 0, 1, 2, 3]
