"""A step cut among processes and into parts, against the whole step in one process.

Everything is in float64, so that the order of sums leaves 1e-15; the past's log-sum is formed in
float32 (own_past.py), from scores that the cut rounds differently: 1e-6.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from behavior_scaling.model.parts import Share

WORKER = Path(__file__).with_name("parts_cases.py")
_SPEC = importlib.util.spec_from_file_location("parts_cases", WORKER)
assert _SPEC is not None
assert _SPEC.loader is not None
cases = importlib.util.module_from_spec(_SPEC)
sys.modules["parts_cases"] = cases
_SPEC.loader.exec_module(cases)


def _agree(name, found, whole):
    exact = cases.CASES[name].objective.same_sequence != "past"
    scale = float(whole.gradient.abs().max())
    assert found.loss == pytest.approx(whole.loss, rel=1e-12 if exact else 1e-6), name
    worst = float((found.gradient - whole.gradient).abs().max())
    assert worst <= (1e-12 if exact else 1e-6) * scale, (name, worst)
    assert found.drawn == whole.drawn, name


@pytest.mark.parametrize("name", cases.CASES)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_of_the_positions_add_up_to_the_whole_step(name, size):
    """Without spread candidates nothing is exchanged on the way, so one process plays all."""
    case = cases.CASES[name]
    whole = cases.of_share(case, Share())
    parts = [cases.of_share(case, Share(rank, size, case.accumulate)) for rank in range(size)]
    total = cases.Found(
        sum(part.loss for part in parts),
        sum(part.gradient for part in parts),
        sum(part.embedded for part in parts),
        parts[0].drawn,
    )
    _agree(name, total, whole)
    if case.losses == "all":
        assert total.embedded >= whole.embedded  # an item may be embedded in several parts
    alone = cases.of_share(case, Share(0, size, case.accumulate).alone())
    _agree(name, alone, whole)


def test_spread_candidates_add_up_to_the_whole_step(tmp_path):
    """Two processes, each with half of the candidates and its own rows, in one launch."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), "2", str(tmp_path)], env=environment
        )
        for rank in range(2)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert found.keys() == cases.CASES.keys()
    for name, case in cases.CASES.items():
        whole = cases.of_share(case, Share())
        _agree(name, cases.Found(**found[name]), whole)
        if name == "full":  # each embeds its half of the catalogue, its inputs and targets
            assert cases.V < found[name]["embedded"] < 2 * case.accumulate * cases.V


def test_rows_are_cut_evenly_and_all_are_taken_once():
    batch = cases.batch_of(cases.CASES["corrected, mask"])
    objective = cases.objective_of(cases.CASES["corrected, mask"])
    for size, accumulate in ((2, 1), (2, 2), (3, 1), (1, 4)):
        taken = []
        for rank in range(size):
            for part in Share(rank, size, accumulate).parts(batch, objective, 0, 0):
                rows = part.document[part.valid].tolist()
                taken += rows
        assert sorted(taken) == sorted(batch.document[batch.valid].tolist()), (size, accumulate)


def test_a_batch_that_is_not_cut_is_passed_on_as_it_is():
    batch = cases.batch_of(cases.CASES["corrected, mask"])
    objective = cases.objective_of(cases.CASES["corrected, mask"])
    (part,) = Share().parts(batch, objective, 0, 0)
    assert part is batch
