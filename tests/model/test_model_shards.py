"""Candidates spread over processes, against one process that holds them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

WORKER = Path(__file__).with_name("shards_worker.py")
V, P, D, N = 40, 23, 6, 17


def _case() -> dict[str, Tensor]:
    """Positions of five documents, targets in and out of the candidates, in float64."""
    generator = torch.Generator().manual_seed(4)
    weight = torch.linspace(1, 6, V, dtype=torch.float64)
    return {
        "vectors": torch.randn(V, D, generator=generator, dtype=torch.float64),
        "queries": torch.randn(P, D, generator=generator, dtype=torch.float64),
        "targets": torch.randint(0, V, (P,), generator=generator),
        "document": torch.arange(P) // 5,
        "candidates": torch.randperm(V, generator=generator)[:N].sort().values,
        "unigram": weight / weight.sum(),
    }


@pytest.mark.parametrize(
    "size", [3, pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_shards_equal_one_process(size: int, tmp_path: Path) -> None:
    """Loss and gradients of every objective: each process has its own part of both."""
    case = _case()
    torch.save(case, tmp_path / "case.pt")
    calls = [("0", "0"), *((str(rank), str(size)) for rank in range(size))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, str(WORKER), *call, str(tmp_path)], env=environment)
        for call in calls
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * len(calls)
    alone, *found = [
        torch.load(tmp_path / f"{name}.pt", weights_only=True)
        for name in ("alone", *map(str, range(size)))
    ]
    for key, expected in alone.items():
        parts = [one[key] for one in found]
        for part in parts:
            assert float(part["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-12), key
        for name in expected.keys() - {"loss"}:
            joined = torch.cat([part[name] for part in parts])
            assert torch.allclose(joined, expected[name], rtol=0, atol=1e-12), (key, name)
