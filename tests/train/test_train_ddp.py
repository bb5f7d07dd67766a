"""Runs on two processes (gloo) against the same runs in one, at equal global batch.

The two differ by the order of sums in float32: 1e-7 a step, which some fifteen steps of AdamW at a
large rate grow to less than 1e-5 of every loss. Where a rank of an evaluation turns on a last bit,
an accuracy may move by one position; losses are what is compared.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from behavior_scaling.data.windows import TrainSampler
from behavior_scaling.records.spec import EmbedderSpec, ObjectiveSpec
from behavior_scaling.records.store import CHECKPOINT
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.train import launch
from behavior_scaling.train.interrupt import InterruptedRunError
from behavior_scaling.train.launch import WorkerError, WorkerLostError
from behavior_scaling.train.run import EMBEDDER

TOLERANCE = 1e-5
DDP = Execution("ddp", 2)
SHARDED = Execution("ddp", 2, shard_candidates=True)
FSDP = Execution("fsdp", 2)
LOSSES = ("train_loss", "validation/restored/all/cross_entropy", "test/raw/all/cross_entropy")
SAME_COUNTS = ("positions", "steps", "steps_after_warmup", "n_cand_distinct", "flops_nominal")


@pytest.fixture
def spec(spec):
    """An odd batch, both kinds of candidates, and the past; the last step has 3 losses."""
    return replace(
        spec,
        batch=5,
        positions=711,
        probes=2,
        embedder=EmbedderSpec("transformer", 6, 1),
        objective=ObjectiveSpec("corrected", 8, 2, "past"),
    )


@pytest.fixture
def groups(monkeypatch):
    """The groups of processes that are started."""
    started = []

    class Watched(launch._Workers):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append([process.pid for process in self._processes])

    monkeypatch.setattr(launch, "_Workers", Watched)
    return started


def agree(found, single):
    assert found.outcome == single.outcome == "done"
    for name in LOSSES:
        assert found.metrics[name] == pytest.approx(single.metrics[name], rel=TOLERANCE), name
    for ours, wanted in zip(found.curve, single.curve, strict=True):
        assert ours == pytest.approx(wanted, rel=TOLERANCE)
    for ours, wanted in zip(found.probes, single.probes, strict=True):
        # Of few sequences the gradient's signal is a difference of large numbers.
        assert ours == pytest.approx(wanted, rel=1e-3)
    for name in SAME_COUNTS:
        assert found.counts[name] == single.counts[name], name
    assert found.counts["items_embedded"] >= single.counts["items_embedded"]


def _gone(pids):
    """Whether no process of a group is left."""
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        return False
    return True


def test_two_processes_parts_and_spread_candidates_are_the_run_of_one(train, chain, spec, groups):
    """All at once, and what the parent hears and the record says of it."""
    sizes = [b.valid for b in TrainSampler(chain, 16, 5, spec.positions, seed=0)]
    assert sizes[-1].sum() == 3
    assert not sizes[-1][2:].any()  # the second process has no loss in the last step
    lines, numbers = [], []
    single = train(spec, "single", told=numbers.append)
    execution = replace(SHARDED, accumulate=2)
    found = train(spec, "two", execution=execution, log=lines.append, told=numbers.append)
    agree(found, single)
    assert numbers[0] == numbers[1]
    assert numbers[0]["positions"] == 711
    assert {name: single.machine[name] for name in ("strategy", "devices")} == {
        "strategy": "single",
        "devices": "1",
    }
    assert {name: found.machine[name] for name in ("strategy", "devices", "accumulate")} == {
        "strategy": "ddp",
        "devices": "2",
        "accumulate": "2",
    }
    assert found.machine["compile"] == "False"
    assert found.id == single.id
    assert groups
    assert _gone(groups[0])


@pytest.mark.parametrize("parts", [2, 3])
def test_a_batch_in_parts_is_the_whole_batch(train, spec, parts):
    agree(train(spec, "parts", execution=Execution(accumulate=parts)), train(spec, "whole"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    [
        ObjectiveSpec("corrected", 8, 2, "past"),
        ObjectiveSpec("as_paper", 8, 2, "mask"),
        ObjectiveSpec("full", 0, 0, "mask"),
    ],
    ids=["past", "as paper", "full"],
)
@pytest.mark.parametrize("execution", [DDP, SHARDED, FSDP], ids=["ddp", "spread", "fsdp"])
def test_every_strategy_and_objective(train, spec, execution, objective):
    spec = replace(spec, objective=objective)
    agree(train(spec, "two", execution=execution), train(spec, "one"))


@pytest.mark.slow
@pytest.mark.parametrize("execution", [DDP, SHARDED, FSDP], ids=["ddp", "spread", "fsdp"])
def test_stage_2(train, spec, tmp_path, execution):
    train(spec, "parent")
    parent = tmp_path / "parent" / EMBEDDER
    objective = ObjectiveSpec("corrected", 4, 4, "past")
    child = replace(spec, stage=2, parent=spec.id, objective=objective)
    single = train(child, "one", parent_embedder=parent)
    found = train(child, "two", parent_embedder=parent, execution=execution)
    agree(found, single)
    assert found.counts["items_embedded"] == 0
    before, after = load_file(parent), load_file(tmp_path / "two" / EMBEDDER)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
@pytest.mark.parametrize("execution", [DDP, FSDP], ids=["ddp", "fsdp"])
def test_bf16_on_two_processes(train, spec, execution):
    """Rounding to 8 bits in another order: losses to .003 nats; bf16 itself may cost .01."""
    spec = replace(spec, precision="bf16-mixed")
    single, found = train(spec, "one"), train(spec, "two", execution=execution)
    for name in LOSSES:
        assert found.metrics[name] == pytest.approx(single.metrics[name], abs=0.003), name


@pytest.mark.slow
@pytest.mark.parametrize("execution", [SHARDED, FSDP], ids=["spread", "fsdp"])
def test_kill_9_of_a_process_is_an_interruption_and_the_run_goes_on(
    train, spec, tmp_path, groups, execution
):
    """Bit for bit the run of two processes that nobody disturbed."""
    spec = replace(spec, batch=2, positions=3000)
    whole = train(spec, "whole", execution=execution)
    checkpoint = tmp_path / "killed" / CHECKPOINT
    struck: list[int] = []

    def strike() -> bool:
        if checkpoint.is_file() and not struck:
            struck.append(groups[-1][1])
            os.kill(struck[0], signal.SIGKILL)
        return False

    with pytest.raises(WorkerLostError, match="process 1 of 2 was killed by SIGKILL"):
        train(spec, "killed", execution=execution, stopped=strike, checkpoint_seconds=0.0)
    assert _gone(groups[-1])
    steps = torch.load(checkpoint, weights_only=True)["tally"]["steps"]
    assert 0 < steps < whole.counts["steps"]
    lines: list[str] = []
    again = train(spec, "killed", execution=execution, log=lines.append)
    assert lines[0] == f"going on from {checkpoint}"
    assert again.numeric_hash == whole.numeric_hash


@pytest.mark.slow
@pytest.mark.parametrize("through", ["parent", "worker"])
def test_a_request_to_stop_stops_all_with_a_checkpoint(train, spec, tmp_path, groups, through):
    """The parent is asked, or a signal reaches one worker alone (as a batch system may do)."""
    spec = replace(spec, batch=2, positions=3000)
    whole = train(spec, "whole", execution=DDP)
    checkpoint = tmp_path / "asked" / CHECKPOINT
    signalled: list[int] = []

    def ask() -> bool:
        if through == "worker" and checkpoint.is_file() and not signalled:
            signalled.append(groups[-1][1])
            os.kill(signalled[0], signal.SIGTERM)
        return through == "parent" and checkpoint.is_file()

    with pytest.raises(InterruptedRunError, match=r"stopped after step \d+") as stop:
        train(spec, "asked", execution=DDP, stopped=ask, checkpoint_seconds=0.2)
    assert not isinstance(stop.value, WorkerLostError)
    assert _gone(groups[-1])
    steps = torch.load(checkpoint, weights_only=True)["tally"]["steps"]
    assert str(stop.value) == f"stopped after step {steps}"
    assert train(spec, "asked", execution=DDP).numeric_hash == whole.numeric_hash


PARENT = """
import json, sys
from pathlib import Path
from behavior_scaling.data.store import Dataset
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.train import launch
from behavior_scaling.train.run import train_run

class Watched(launch._Workers):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        print(*(process.pid for process in self._processes), flush=True)

launch._Workers = Watched
spec, data, folder = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
spec = RunSpec.from_dict(spec)
train_run(spec, Dataset.open(data), folder, None, 0.0, len, execution=Execution("ddp", 2))
"""


@pytest.mark.slow
def test_kill_9_of_the_parent_ends_its_processes(chain, spec, tmp_path):
    spec = replace(spec, positions=10**7)
    arguments = [json.dumps(spec.to_dict()), str(chain.path), str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        _wait_for((tmp_path / CHECKPOINT).is_file)
        parent.kill()
    assert len(pids) == 2
    _wait_for(lambda: _gone(pids))


def _wait_for(true, seconds=120.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(train, spec, tmp_path):
    """One device's checkpoint is taken up by two; FSDP's is another, and says so."""
    spec = replace(spec, positions=1500)
    polls: list[int] = []

    def later() -> bool:
        polls.append(1)
        return len(polls) == 8

    single = train(spec, "whole")
    with pytest.raises(InterruptedRunError):
        train(spec, "begun", stopped=later)
    lines: list[str] = []
    agree(train(spec, "begun", execution=DDP, log=lines.append), single)
    assert "going on from" in lines[0]
    polls.clear()
    with pytest.raises(InterruptedRunError):
        train(spec, "other", stopped=later)
    agree(train(spec, "other", execution=FSDP, log=lines.append), single)
    assert "as matrices as one tensor, this strategy as fsdp: the run starts anew" in lines[1]


@pytest.mark.slow
def test_an_error_of_a_worker_is_the_runs_error_with_its_traceback(train, spec, groups):
    wrong = replace(spec, objective=ObjectiveSpec("corrected", 8, 41, "past"))
    with pytest.raises(WorkerError, match="K = 41 exceeds the catalogue") as failed:
        train(wrong, execution=DDP)
    assert "Traceback (most recent call last):" in str(failed.value)
    assert _gone(groups[0])


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_an_outcome_of_all_processes(train, spec):
    wild = replace(spec, optimizer=replace(spec.optimizer, lr=1e30, warmup=0.0, clip=1e30))
    single, found = train(wild, "one"), train(wild, "two", execution=DDP)
    assert found.outcome == single.outcome == "diverged"
    assert found.error == single.error


@pytest.mark.parametrize(
    ("execution", "message"),
    [
        (Execution("single", 2), "single with 2 devices: one device is single, several are"),
        (Execution("ddp", 1), "ddp with 1 devices"),
        (Execution(accumulate=0), "devices and accumulate start at 1"),
    ],
)
def test_executions_that_make_no_sense_are_refused(train, spec, execution, message):
    with pytest.raises(ValueError, match=message):
        train(spec, execution=execution)


def test_more_devices_than_are_visible_are_refused(train, spec, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(ValueError, match=r"is 2, but 1 are visible \(CUDA_VISIBLE_DEVICES: 3\)"):
        train(spec, execution=DDP)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler gives several of its own
def test_a_compiled_run_agrees_with_an_eager_one(train, spec):
    """Fused kernels round otherwise: 1e-4 of every loss after some fifteen steps."""
    eager, found = train(spec, "eager"), train(spec, "compiled", execution=Execution(compile=True))
    for name in LOSSES:
        assert found.metrics[name] == pytest.approx(eager.metrics[name], rel=1e-4), name
    assert found.machine["compile"] == "True"
