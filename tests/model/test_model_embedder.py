"""The item embedder: weights as multiplicities, padding, a plain reference, refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.codebook import code_vectors
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec

ROWS = 512
WIDTH = 8  # d
KINDS = [
    *(EmbedderSpec("transformer", 6, depth) for depth in (0, 1, 2)),
    EmbedderSpec("transformer", 32, 1),
    *(EmbedderSpec("mlp", 6, depth) for depth in (1, 2)),
    EmbedderSpec("fixed", WIDTH, 0),
]
each_kind = pytest.mark.parametrize(
    "spec", KINDS, ids=lambda spec: f"{spec.kind}{spec.width}x{spec.depth}"
)


def _vectors(spec: EmbedderSpec, codes: list[list[int]], weights: list[list[float]]) -> Tensor:
    model = TwoPart(
        spec,
        ContextualizerSpec("transformer", WIDTH, 1, 1),
        torch.tensor(codes),
        torch.tensor(weights),
        ROWS,
        seed=4,
    )
    return model.item_vectors(torch.arange(len(codes))).detach()


@each_kind
def test_weight_is_a_multiplicity(spec: EmbedderSpec) -> None:
    """Weight 2 is the token twice; all weights times a constant change nothing."""
    once = _vectors(spec, [[7, 9, 0]], [[2.0, 1.0, 0.0]])
    twice = _vectors(spec, [[7, 7, 9]], [[1.0, 1.0, 1.0]])
    scaled = _vectors(spec, [[7, 9, 0]], [[5.0, 2.5, 0.0]])
    even = _vectors(spec, [[7, 9, 0]], [[1.0, 1.0, 0.0]])
    assert torch.allclose(once, twice, atol=2e-6)
    assert torch.allclose(once, scaled, atol=2e-6)
    assert not torch.allclose(once, even, atol=1e-2)


@each_kind
def test_padding_and_order_have_no_effect(spec: EmbedderSpec) -> None:
    """Neither the code of a padded token, nor more columns, nor the order of tokens."""
    plain = _vectors(spec, [[7, 9], [3, 4]], [[1.0, 0.5], [1.0, 1.0]])
    padded = _vectors(
        spec, [[7, 0, 9, 0], [4, 3, 11, 0]], [[1.0, 0.0, 0.5, 0.0], [1.0, 1.0, 0.0, 0.0]]
    )
    assert torch.allclose(plain, padded, atol=2e-6)
    mixed = _vectors(spec, [[7, 9, 11]], [[1.0, 0.5, 0.2]])
    assert not torch.allclose(plain[:1], mixed, atol=1e-2)


@each_kind
def test_an_item_does_not_depend_on_its_neighbours(spec: EmbedderSpec) -> None:
    """The same item alone and among others."""
    among = _vectors(spec, [[1, 2], [7, 9], [5, 6]], [[1.0, 1.0], [1.0, 0.5], [0.3, 1.0]])
    alone = _vectors(spec, [[7, 9]], [[1.0, 0.5]])
    assert torch.allclose(among[1:2], alone, atol=2e-6)


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def _gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("kind", ["transformer", "mlp"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_plain_reference(kind: str, depth: int) -> None:
    """Float64, one item at a time, tokens repeated instead of weighted, heads in a loop."""
    width, repeats = 32, [3, 1, 2]
    spec = EmbedderSpec(kind, width, depth)
    codes = torch.tensor([[17, 40, 300, 0]])
    weights = torch.tensor([[*map(float, repeats), 0.0]])
    shape = ContextualizerSpec("transformer", WIDTH, 1, 1)
    model = TwoPart(spec, shape, codes, weights, ROWS, seed=0)
    table = code_vectors(codes[0, :3], ROWS, width).double()
    x = table.repeat_interleave(torch.tensor(repeats), 0)  # [6, e]
    if kind == "mlp" or depth == 0:
        x = _unit(x.mean(0, keepdim=True))
    weight = {name: value.detach().double() for name, value in model.embedder.named_parameters()}
    for block in range(depth):
        at = f"blocks.{block}."
        if kind == "transformer":
            qkv = _unit(x) @ weight[at + "attention.qkv.weight"].t()
            mixed = []
            for head in range(2):
                part = [slice(i * width + head * 16, i * width + head * 16 + 16) for i in range(3)]
                query, key, value = (qkv[:, columns] for columns in part)
                mixed.append(torch.softmax(query @ key.t() / 4, 1) @ value)
            x = x + torch.cat(mixed, 1) @ weight[at + "attention.out.weight"].t()
            at += "mlp."
        x = x + _gelu(_unit(x) @ weight[at + "up.weight"].t()) @ weight[at + "down.weight"].t()
    x = x.mean(0, keepdim=True)
    expected = (_unit(x) if depth else x) @ weight["out.weight"].t()
    found = model.item_vectors(torch.tensor([0])).double()
    assert torch.allclose(found, expected, atol=1e-5)


def test_fixed_items_have_unit_rms_and_no_parameters() -> None:
    """The control of share 0."""
    spec = EmbedderSpec("fixed", WIDTH, 0)
    vectors = _vectors(spec, [[7, 9], [1, 2]], [[1.0, 0.5], [1.0, 0.0]])
    assert torch.allclose(vectors.square().mean(1), torch.ones(2), atol=1e-5)
    row = code_vectors(torch.tensor([1]), ROWS, WIDTH)
    assert torch.allclose(vectors[1:], _unit(row), atol=1e-5)


@pytest.mark.parametrize(
    ("codes", "weights", "message"),
    [
        ([[1, 2], [3, 4]], [[1.0, 1.0], [0.0, 0.0]], "item 1 has no token of positive weight"),
        ([[1, ROWS], [3, 4]], [[1.0, 1.0], [1.0, 0.0]], r"item 0 has a code outside 0\.\.511"),
        ([[1, 2], [3, -1]], [[1.0, 1.0], [1.0, 0.0]], "item 1 has a code outside"),
        ([[1, 2], [3, 4]], [[1.0, 1.0], [-1.0, 2.0]], "item 1 has a weight that is negative"),
        ([[1, 2], [3, 4]], [[math.nan, 1.0], [1.0, 2.0]], "item 0 has a weight that is negative"),
        ([[1, 2], [3, 4]], [[1.0, 1.0], [1.0, math.inf]], "item 1 has a weight that is negative"),
        ([[1, 2]], [[1.0]], r"must both be \[V, T\]"),
    ],
)
def test_impossible_items_are_refused(
    codes: list[list[int]], weights: list[list[float]], message: str
) -> None:
    """The message names the item."""
    with pytest.raises(ValueError, match=message):
        _vectors(KINDS[0], codes, weights)
