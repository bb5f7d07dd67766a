"""Local GPUs as nvidia-smi lists them: who takes which, among real processes and after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from behavior_scaling.train import devices as devices_module
from behavior_scaling.train.devices import (
    DeviceError,
    devices,
    list_devices,
    parse_listing,
    visible_devices,
)
from behavior_scaling.train.interrupt import InterruptedRunError

# The layout of `nvidia-smi -L` in NVIDIA's MIG user guide; UUIDs made up.
LISTING = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-aaaa0000-1111)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-bbbb0000-1111)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc0000-1111)
  MIG 3g.40gb     Device  1: (UUID: MIG-dddd0000-1111)
"""
A, C, D = "GPU-aaaa0000-1111", "MIG-cccc0000-1111", "MIG-dddd0000-1111"

HOLD = """
import os, sys
from pathlib import Path
from behavior_scaling.train.devices import devices
folder, count, listed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(",")
with devices(count, print, lambda: listed, os.environ, folder):
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.readline()
"""


def hold(folder: Path, count: int, *listed: str) -> subprocess.Popen[str]:
    environment = {key: os.environ[key] for key in os.environ if key not in ("SLURM_JOB_ID",)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    return subprocess.Popen(
        [sys.executable, "-uc", HOLD, str(folder), str(count), ",".join(listed)], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
    )  # fmt: skip


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> str:
    return process.communicate("\n", timeout=60)[0]


def test_a_partitioned_gpu_is_its_instances() -> None:
    assert parse_listing(LISTING) == [A, C, D]
    assert parse_listing("No devices found.\n") == []


@pytest.mark.parametrize("fault", ["absent", "fails"])
def test_without_nvidia_smi_there_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "fails":
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{LISTING}'\nexit 9\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_devices() == []
    environment: dict[str, str] = {}
    with devices(1, print, list_devices, environment, tmp_path) as taken:
        assert (taken, environment) == ([], {})


def test_nvidia_smi_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").write_text(
        f"#!/bin/sh\n[ \"$*\" = -L ] && cat <<'EOT'\n{LISTING}EOT\n"
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert list_devices() == [A, C, D]


@pytest.mark.parametrize(
    ("value", "visible"),
    [
        (None, [A, C, D]), ("", []), ("-1", []), ("0", [A]), ("2,0", [D, A]), ("0,7,1", [A]),
        (f"{C},{A}", [C, A]), ("GPU-aaaa", [A]), ("GPU-none,1", [C]), (" 1 , 2 ", [C, D]),
    ],
)  # fmt: skip
def test_what_is_hidden_stays_hidden(value: str | None, visible: list[str]) -> None:
    environment = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert visible_devices([A, C, D], environment) == visible


def test_two_processes_take_different_devices_and_a_third_waits(tmp_path: Path) -> None:
    first, second = hold(tmp_path, 1, "GPU-0", "GPU-1"), hold(tmp_path, 1, "GPU-0", "GPU-1")
    assert {line(first), line(second)} == {"GPU-0", "GPU-1"}
    third = hold(tmp_path, 1, "GPU-0", "GPU-1")
    assert line(third) == "waiting for 1 free of 2 devices"
    end(first)
    freed = line(third)
    assert freed in ("GPU-0", "GPU-1")
    second.send_signal(signal.SIGKILL)  # and a killed holder frees its own
    second.communicate()
    fourth = hold(tmp_path, 1, "GPU-0", "GPU-1")
    assert {freed, line(fourth)} == {"GPU-0", "GPU-1"}
    end(third)
    end(fourth)


def test_one_who_wants_all_is_not_starved_by_those_who_come_later(tmp_path: Path) -> None:
    single = hold(tmp_path, 1, "GPU-0", "GPU-1")
    assert line(single) == "GPU-0"
    both = hold(tmp_path, 2, "GPU-0", "GPU-1")
    assert line(both) == "waiting for 2 free of 2 devices"
    later = hold(tmp_path, 1, "GPU-0", "GPU-1")
    assert line(later) == "waiting for 1 free of 2 devices"
    end(single)
    assert line(both) == "GPU-0,GPU-1"
    assert later.poll() is None
    end(both)
    assert line(later) == "GPU-0"
    end(later)


def test_the_environment_is_as_before_afterwards(tmp_path: Path) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "1,2"}
    with devices(1, print, lambda: [A, C, D], environment, tmp_path) as taken:
        assert taken == [C]
        assert environment == {"CUDA_VISIBLE_DEVICES": C}
    assert environment == {"CUDA_VISIBLE_DEVICES": "1,2"}


def test_what_a_batch_system_gave_to_a_job_is_left_alone(tmp_path: Path) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "7"}
    before = dict(environment)
    with devices(1, print, lambda: [A], environment, tmp_path) as outer:
        assert (outer, environment) == ([], before)
        with devices(1, print, lambda: [A], dict(before), tmp_path) as inner:
            assert inner == []  # nobody waits: the share of a GPU may be meant


def test_commands_of_one_job_share_what_it_was_given(tmp_path: Path) -> None:
    jobs = [{"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_JOB_ID": "7"} for _ in range(2)]
    with (
        devices(1, print, lambda: [A, C], jobs[0], tmp_path),
        devices(1, print, lambda: [A, C], jobs[1], tmp_path),
    ):
        assert [job["CUDA_VISIBLE_DEVICES"] for job in jobs] == [A, C]


def test_more_devices_than_there_are_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(DeviceError, match=r"uses 4 devices and 3 are visible.*execution\.devices"),
        devices(4, print, lambda: [A, C, D], {}, tmp_path),
    ):
        pass


def test_a_signal_ends_the_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices_module, "LOOK_SECONDS", 0.01)

    def ask_to_stop(text: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with (
        devices(1, print, lambda: [A], {}, tmp_path),
        pytest.raises(InterruptedRunError, match="waiting for a device"),
        devices(1, ask_to_stop, lambda: [A], {}, tmp_path),
    ):
        pass
    with devices(1, print, lambda: [A], {}, tmp_path) as taken:  # the queue is free again
        assert taken == [A]


def test_lock_files_lie_in_a_folder_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices_module.tempfile, "gettempdir", lambda: str(tmp_path))
    with devices(1, print, lambda: [A], {}):
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    folder.rename(tmp_path / "real")
    folder.symlink_to(tmp_path / "real")
    with (
        pytest.raises(DeviceError, match="belongs to someone else"),
        devices(1, print, lambda: [A], {}),
    ):
        pass
