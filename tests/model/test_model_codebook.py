"""The fixed codebook: slices, independence, distribution."""

from __future__ import annotations

import subprocess
import sys

import torch

from behavior_scaling.model.codebook import code_vectors


def test_narrower_tables_are_slices() -> None:
    """The table of width 6 is the first columns of that of width 32, for any subset of codes."""
    codes = torch.tensor([5, 999, 0, 421])
    wide = code_vectors(torch.arange(1000), 1000, 32)
    assert torch.equal(code_vectors(codes, 1000, 6), wide[codes, :6])


def test_entries_are_standard_normal_and_unrelated() -> None:
    """Mean, variance and correlations between columns and between rows, within 5 errors."""
    table = code_vectors(torch.arange(20_000), 20_000, 16).double()
    assert abs(table.mean()) < 5 / table.numel() ** 0.5
    assert abs(table.var() - 1) < 5 * (2 / table.numel()) ** 0.5
    columns = torch.corrcoef(table.t()) - torch.eye(16)
    assert columns.abs().max() < 5 / 20_000**0.5
    dots = (table[1:] * table[:-1]).sum(1)
    assert abs(dots.mean()) < 5 * 4 / 20_000**0.5


def test_same_in_another_process() -> None:
    """No hidden state: a fresh interpreter, with torch's global seed elsewhere, agrees."""
    program = (
        "import torch; torch.manual_seed(7); torch.randn(3);"
        "from behavior_scaling.model.codebook import code_vectors;"
        "print(code_vectors(torch.tensor([3, 70]), 4096, 4).double().tolist())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert shown.strip() == str(code_vectors(torch.tensor([3, 70]), 4096, 4).double().tolist())
