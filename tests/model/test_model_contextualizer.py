"""The contextualizer: causality, documents, rotary positions, a plain reference."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.attention import rotation
from behavior_scaling.model.contextualizer import Contextualizer
from behavior_scaling.records.spec import ContextualizerSpec

SHAPES = [(8, 1, 1), (16, 2, 1), (32, 2, 2), (48, 1, 3)]
each_shape = pytest.mark.parametrize(("width", "layers", "heads"), SHAPES)


def _module(width: int, layers: int, heads: int) -> Contextualizer:
    generator = torch.Generator().manual_seed(3)
    return Contextualizer(ContextualizerSpec("transformer", width, layers, heads), generator)


def _vectors(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("start", [0.2, 1.0, 5.0])
def test_the_temperature_starts_where_the_spec_says_and_is_learned(start: float) -> None:
    spec = ContextualizerSpec("transformer", 8, 1, 1, temperature=start)
    module = Contextualizer(spec, torch.Generator().manual_seed(3))
    assert module.log_temperature.exp().item() == pytest.approx(start)
    assert module.log_temperature.requires_grad
    other = _module(8, 1, 1)  # the other weights start as they do without it
    for name, value in module.named_parameters():
        if name != "log_temperature":
            assert torch.equal(value, dict(other.named_parameters())[name]), name
    assert _module(8, 1, 1).log_temperature.item() == 0.0  # exactly, as before there was a key


@each_shape
@torch.no_grad()
def test_the_future_is_unseen(width: int, layers: int, heads: int) -> None:
    """Permuting what comes after position 9 leaves states up to 9 unchanged, bit by bit."""
    module, vectors = _module(width, layers, heads), _vectors(2, 16, width)
    document = torch.zeros(2, 16, dtype=torch.int32)
    changed = vectors.clone()
    changed[:, 10:] = vectors[:, 10:].flip(1)
    before, after = module(vectors, document), module(changed, document)
    assert torch.equal(before[:, :10], after[:, :10])
    assert (before[:, 10:] - after[:, 10:]).abs().max() > 0.1


@each_shape
@torch.no_grad()
def test_packed_documents_equal_unpacked_ones(width: int, layers: int, heads: int) -> None:
    """Three documents in one row, padding behind them, against each one alone in a row.

    They also stand at other offsets, so this is the relative invariance of rotary positions too.
    """
    module, vectors = _module(width, layers, heads), _vectors(1, 16, width)
    document = torch.tensor([[4, 4, 4, 4, 4, 2, 2, 2, 7, 7, 7, 7, 7, 7, -1, -1]])
    packed = module(vectors, document)
    for part in (slice(0, 5), slice(5, 8), slice(8, 14)):
        alone = module(vectors[:, part], document[:, part])
        assert torch.allclose(packed[:, part], alone, atol=2e-6)
    one = module(vectors, torch.zeros_like(document))
    assert (one[:, 5:8] - packed[:, 5:8]).abs().max() > 0.1, "documents must matter at all"
    assert torch.isfinite(packed).all(), "padding is finite"


@torch.no_grad()
def test_rows_are_apart_even_under_one_document_id() -> None:
    """Attention runs within rows only."""
    module, vectors = _module(16, 2, 1), _vectors(2, 8, 16)
    document = torch.zeros(2, 8, dtype=torch.int32)
    changed = vectors.clone()
    changed[0] += 1
    assert torch.equal(module(vectors, document)[1], module(changed, document)[1])


@torch.no_grad()
def test_order_matters() -> None:
    """Without positions, a last state would not change when the past is permuted."""
    module, vectors = _module(16, 1, 1), _vectors(1, 8, 16)
    document = torch.zeros(1, 8, dtype=torch.int32)
    changed = vectors.clone()
    changed[:, :7] = vectors[:, :7].flip(1)
    last = module(vectors, document)[:, -1] - module(changed, document)[:, -1]
    assert last.abs().max() > 0.05


def test_rotation_depends_on_differences_only() -> None:
    """<R_i q, R_j k> is a function of i - j, by the textbook rotation; values don't turn."""
    head = 8
    turn = rotation(32, 2, head).view(32, 6, 4)
    assert torch.equal(turn[:, 4:], torch.ones(32, 2, 4, dtype=torch.complex64))
    query, key = _vectors(2, head)

    def turned(x: Tensor, position: int) -> Tensor:
        pairs = torch.view_as_complex(x.view(-1, 2)) * turn[position, 0]
        return torch.view_as_real(pairs).reshape(-1)

    expected = torch.empty(head)
    for pair in range(4):
        angle = 9 / 10_000 ** (2 * pair / head)
        a, b = query[2 * pair], query[2 * pair + 1]
        expected[2 * pair] = a * math.cos(angle) - b * math.sin(angle)
        expected[2 * pair + 1] = a * math.sin(angle) + b * math.cos(angle)
    assert torch.allclose(turned(query, 9), expected, atol=1e-6)
    near = turned(query, 9) @ turned(key, 4)
    far = turned(query, 29) @ turned(key, 24)
    other = turned(query, 9) @ turned(key, 5)
    assert abs(near - far) < 1e-5
    assert abs(near - other) > 1e-2


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


@pytest.mark.parametrize(("width", "layers", "heads"), [(8, 1, 1), (32, 2, 2)])
@torch.no_grad()
def test_plain_reference(width: int, layers: int, heads: int) -> None:
    """Float64, position by position, head by head, with rotation matrices."""
    module, length, size = _module(width, layers, heads), 6, width // heads
    document = torch.tensor([0, 0, 0, 1, 1, 1])
    vectors = _vectors(1, length, width)
    x = vectors[0].double()
    weight = {name: value.double() for name, value in module.named_parameters()}

    def rotate(row: Tensor, position: int) -> Tensor:
        out = torch.empty_like(row)
        for pair in range(size // 2):
            angle = position / 10_000 ** (2 * pair / size)
            a, b = row[2 * pair], row[2 * pair + 1]
            out[2 * pair] = a * math.cos(angle) - b * math.sin(angle)
            out[2 * pair + 1] = a * math.sin(angle) + b * math.cos(angle)
        return out

    for layer in range(layers):
        at = f"blocks.{layer}."
        qkv = (_unit(x) @ weight[at + "attention.qkv.weight"].t()).view(length, 3, heads, size)
        mixed = torch.zeros(length, heads, size, dtype=torch.float64)
        for i in range(length):
            seen = [j for j in range(i + 1) if document[j] == document[i]]
            for head in range(heads):
                query = rotate(qkv[i, 0, head], i)
                keys = torch.stack([rotate(qkv[j, 1, head], j) for j in seen])
                share = torch.softmax(keys @ query / math.sqrt(size), 0)
                mixed[i, head] = share @ torch.stack([qkv[j, 2, head] for j in seen])
        x = x + mixed.view(length, width) @ weight[at + "attention.out.weight"].t()
        hidden = _unit(x) @ weight[at + "mlp.up.weight"].t()
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + hidden @ weight[at + "mlp.down.weight"].t()
    found = module(vectors, document[None])[0].double()
    assert torch.allclose(found, _unit(x), atol=2e-6)


@pytest.mark.parametrize(("width", "heads"), [(12, 5), (12, 4), (6, 2)])
def test_heads_that_do_not_fit_are_refused(width: int, heads: int) -> None:
    """Rotary positions need pairs."""
    with pytest.raises(ValueError, match=f"{heads} heads cannot share a width of {width}"):
        _module(width, 1, heads)
