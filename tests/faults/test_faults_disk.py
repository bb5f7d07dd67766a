"""A full disk: the kernel refuses bytes while a checkpoint, a record, data or a figure is written.

The limit on the size of a file (RLIMIT_FSIZE) stands for it: it fails in the same call, with EFBIG
in place of ENOSPC, and asks for no file system of its own. The logs are full then, too.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from behavior_scaling.cli import main
from behavior_scaling.data.store import Dataset
from behavior_scaling.files import is_storage_error, replacing, write_text
from behavior_scaling.records.store import CHECKPOINT, RECORD
from behavior_scaling.train.bundle import train_bundle
from behavior_scaling.train.run import EMBEDDER, RANKS

from .faults_processes import STEP, Child


@pytest.mark.parametrize("file", [CHECKPOINT, RANKS, EMBEDDER, RECORD])
def test_a_full_disk_interrupts_a_run_and_is_no_outcome(
    struck, bundle, spec, store, undisturbed, file: str
) -> None:
    """A full disk says nothing about the run: it has no record, and goes on when there is room."""
    ended = struck(f"full_from('{file}')", spec)
    assert ended.end() == 1
    assert store.state(spec.id) == "absent"
    left = {path.name for path in store.work_dir(spec.id).iterdir()}
    assert not [name for name in left if name.startswith(".")]
    assert (CHECKPOINT in left) == (file != CHECKPOINT)

    lines = bundle(spec)
    assert ("going on from" in lines[0]) == (file != CHECKPOINT)
    assert store.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash


@pytest.mark.parametrize("file", [CHECKPOINT, RANKS])
def test_one_file_that_has_no_room_is_no_outcome_either(
    chain, struck, bundle, spec, store, undisturbed, monkeypatch, file: str
) -> None:
    """A quota that the run's own log still fits in: the fault is the storage's all the same."""
    struck(f"at('{CHECKPOINT}', 6, kill)", spec).end()
    make = tempfile.mkstemp

    def refuse(*arguments: Any, **options: Any) -> Any:
        if options.get("prefix") == f".{file}.":
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return make(*arguments, **options)

    monkeypatch.setattr("behavior_scaling.files.tempfile.mkstemp", refuse)
    with pytest.raises(OSError, match=f"could not write .*{file}: Disk quota exceeded"):
        train_bundle([spec], chain, store, 0.0, print)
    assert store.state(spec.id) == "absent"
    assert (store.work_dir(spec.id) / CHECKPOINT).is_file()
    monkeypatch.undo()
    assert "going on from" in bundle(spec)[0]
    assert store.load(spec.id).numeric_hash == undisturbed(spec).numeric_hash


def test_weights_that_find_no_room_are_the_storages_fault(tmp_path: Path) -> None:
    """safetensors' own writer would hide the reason in an error of its own."""
    code = """
import torch
from types import SimpleNamespace
from behavior_scaling.files import is_storage_error
from behavior_scaling.train.weights import save_embedder
resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
try:
    save_embedder(SimpleNamespace(embedder=torch.nn.Linear(9, 9)), Path(FILE))
except OSError as error:
    os._exit(7 if is_storage_error(error) else 1)
"""
    file = tmp_path / "embedder.safetensors"
    assert Child(tmp_path / "log", code, FILE=str(file)).end() == 7
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("size", [0, 1000])
def test_a_full_disk_leaves_prepared_data_as_they_were(
    shop: tuple[Path, Path], tmp_path: Path, size: int
) -> None:
    config, raw = shop
    out = tmp_path / "data"
    words = ["prepare", "--config", str(config), "--raw", str(raw), "--out", str(out)]
    assert main(words) == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    full = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))"
    code = "sys.stderr = sys.stdout = open(os.devnull, 'w')\n" + full + STEP
    assert Child(tmp_path / "log", code, WORDS=words).end() == 2
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data", "log"]
    Dataset.open(out, verify=True)


@pytest.mark.parametrize("kind", ["png"])
def test_a_full_disk_leaves_a_figure_as_it_was(results: Path, tmp_path: Path, kind: str) -> None:
    folder = Path(shutil.copytree(results, tmp_path / "quick"))
    drawn = folder / "figures" / f"allocation.{kind}"
    write_text(drawn, "drawn before")
    words = ["figure", "allocation", "--results", str(folder)]
    words += ["--floors", str(folder / "floors.json")]
    ended = Child(tmp_path / "log", f"full_from('allocation.{kind}')" + STEP, WORDS=words)
    assert ended.end() == 2
    assert drawn.read_text() == "drawn before"
    assert not [file for file in drawn.parent.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_no_inode_is_left_or_no_permission(tmp_path: Path, monkeypatch, number: int) -> None:
    """No new file can be made, though there may be room for bytes."""
    write_text(tmp_path / "runs.json", "old")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr("behavior_scaling.files.tempfile.mkstemp", refuse)
    with pytest.raises(OSError, match=r"could not write .*runs\.json: refused") as caught:
        write_text(tmp_path / "runs.json", "new")
    assert is_storage_error(caught.value)
    assert (tmp_path / "runs.json").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["runs.json"]


def test_what_is_the_storages_fault_and_what_is_not(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="could not write") as caught, replacing(tmp_path / "file"):
        Path("/dev/full").write_text("a byte")  # a real ENOSPC
    assert is_storage_error(caught.value)
    assert not is_storage_error(FileNotFoundError(errno.ENOENT, "no such file"))
    assert not is_storage_error(OSError("a word without a number"))
    assert not is_storage_error(MemoryError())
