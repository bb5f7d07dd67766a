"""Items' tokens in rows: every token has a cell of its own, an item lies in one row."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from behavior_scaling.model.attention import attend
from behavior_scaling.model.token_rows import layout, pack_tokens


def _counts(n: int, longest: int, seed: int) -> Tensor:
    return torch.randint(1, longest + 1, (n,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "longest"), [(1, 1), (1, 40), (50, 1), (200, 12), (77, 24), (9, 65)])
def test_every_item_lies_whole_in_one_row(n: int, longest: int) -> None:
    """No cell twice, an item's tokens side by side and in order, rows as promised."""
    counts = _counts(n, longest, 0)
    rows = pack_tokens(counts)
    assert (rows.rows, rows.length) == layout(counts)[:2]
    assert rows.length % 16 == 0
    assert rows.cell.unique().numel() == len(rows.cell) == int(counts.sum())
    assert int(rows.cell.max()) < rows.rows * rows.length
    for item in range(n):
        cells = rows.cell[rows.item == item]
        assert torch.equal(cells, cells[0] + torch.arange(int(counts[item])))
        assert int(cells[0]) // rows.length == int(cells[-1]) // rows.length
        assert torch.equal(rows.nth[rows.item == item], torch.arange(int(counts[item])))


def test_rows_are_full_enough() -> None:
    """12 tokens at most, 6.5 on average: rows of 32 take 21 positions each."""
    counts = _counts(2000, 12, 1)
    rows = pack_tokens(counts)
    assert rows.length == 32
    assert rows.rows == math.ceil(int(counts.sum()) / 21)


def test_spread_and_gather_are_inverse() -> None:
    """What lies elsewhere is zero."""
    rows = pack_tokens(_counts(30, 9, 2))
    x = torch.randn(len(rows.cell), 5, generator=torch.Generator().manual_seed(3))
    grid = rows.spread(x)
    assert grid.shape == (rows.rows, rows.length, 5)
    assert torch.equal(rows.gather(grid), x)
    assert float(grid.abs().sum()) == pytest.approx(float(x.abs().sum()), rel=1e-6)


def test_attention_in_rows_is_attention_item_by_item() -> None:
    """With weights as multiplicities: a key of weight 3 counts three times."""
    generator = torch.Generator().manual_seed(4)
    counts = _counts(25, 7, 5)
    rows = pack_tokens(counts)
    qkv = torch.randn(len(rows.cell), 3 * 8, generator=generator, dtype=torch.float64)
    weight = torch.randint(1, 4, (len(rows.cell),), generator=generator).double()
    found = rows.gather(attend(rows.spread(qkv), rows.mask(weight.log()), heads=2))
    for item in range(25):
        mine = rows.item == item
        query, key, value = qkv[mine].view(-1, 3, 2, 4).permute(1, 2, 0, 3)
        copies = weight[mine].long()
        expected = functional.scaled_dot_product_attention(
            query, key.repeat_interleave(copies, 1), value.repeat_interleave(copies, 1)
        )
        wanted = expected.transpose(0, 1).reshape(-1, 8)
        assert torch.allclose(found[mine], wanted, atol=1e-12), item
