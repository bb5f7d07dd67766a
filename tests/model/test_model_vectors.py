"""Precomputed vectors in the model: the projection by hand, every kind of embedder, cold items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from behavior_scaling.data.item_vectors import ItemVectors
from behavior_scaling.model import codebook
from behavior_scaling.model.codebook import code_vectors, projected_vectors
from behavior_scaling.model.embedder import make_embedder
from behavior_scaling.model.embedder_base import Columns, ItemEmbedder, Items, used_tokens
from behavior_scaling.model.seeding import seeded
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec
from behavior_scaling.sizes.parameters import embedder_parameters

ROWS, E, D, V = 512, 6, 8, 5
RNG = np.random.default_rng(0)
IMAGE = ItemVectors("image", RNG.normal(size=(V, 3)).astype(np.float32), 2.0)
SOUND = ItemVectors("sound", RNG.normal(size=(V, 40)).astype(np.float32), 0.5)
MISSING = 77
# Item: brand, image (code 512 + item), sound (517 + item); item 3 has the image of item 1.
CODES = torch.tensor(
    [[7, 512, 517], [8, 513, MISSING], [7, 514, 519], [8, 513, MISSING], [9, MISSING, 521]],
    dtype=torch.int32,
)
WEIGHTS = torch.tensor([[2.0, 1, 1]] + [[1.0, 1, 1]] * 4)
COLUMNS = Columns(
    torch.tensor([[100, 101, 102]] * V, dtype=torch.int32),
    torch.empty(V, 0),
    torch.empty(0, 2, dtype=torch.int32),
)
ITEMS = Items(CODES, WEIGHTS, COLUMNS, (IMAGE, SOUND))
each_kind = pytest.mark.parametrize(
    ("kind", "depth"),
    [
        ("fixed", 0),
        ("mlp", 1),
        ("transformer", 0),
        ("transformer", 2),
        ("tabtransformer", 0),
        ("tabtransformer", 1),
    ],
)


def _matrix(name: str, dim: int, width: int) -> Tensor:
    columns = [torch.randn(dim, generator=seeded("vector", name, dim, c)) for c in range(width)]
    return torch.stack(columns, 1)


def _token(code: int, width: int = E) -> Tensor:
    """A token's vector by the definition, in float64."""
    if code < ROWS:
        return code_vectors(torch.tensor([code]), ROWS, width)[0].double()
    vectors = (IMAGE, SOUND)[(code - ROWS) // V]
    raw = torch.tensor(vectors.array[(code - ROWS) % V]).double() / vectors.scale
    return raw @ _matrix(vectors.name, len(raw), width).double()


def _embedder(kind: str, depth: int, items: Items = ITEMS) -> ItemEmbedder:
    width = D if kind == "fixed" else E
    return make_embedder(EmbedderSpec(kind, width, depth), D, items, ROWS, seeded("test"))


def _vectors(kind: str, depth: int, items: Items = ITEMS) -> Tensor:
    return _embedder(kind, depth, items)(torch.arange(len(items.codes))).detach()


def _changed(vectors: ItemVectors, item: int) -> ItemVectors:
    array = vectors.array.copy()
    array[item] += 1
    return replace(vectors, array=array)


@pytest.mark.parametrize("block", [2, 8192])
def test_the_projection_by_hand(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """One Gaussian column a dimension, in any order of items and size of blocks."""
    monkeypatch.setattr(codebook, "PROJECTED", block)
    items = torch.tensor([4, 0, 0, 2, 1])
    found = projected_vectors(SOUND, items, E)
    expected = torch.stack([_token(ROWS + V + int(item)) for item in items])
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), expected, atol=1e-4)


def test_a_narrow_projection_is_part_of_a_wide_one() -> None:
    items = torch.arange(V)
    wide = projected_vectors(SOUND, items, 32)
    assert torch.allclose(projected_vectors(SOUND, items, 6), wide[:, :6], atol=1e-5)


def test_columns_and_lengths_have_matrices_of_their_own() -> None:
    other = projected_vectors(replace(IMAGE, name="other"), torch.arange(V), 32)
    assert not torch.allclose(other, projected_vectors(IMAGE, torch.arange(V), 32), atol=0.1)
    assert not torch.equal(_matrix("image", 3, 1)[:2], _matrix("image", 2, 1))


def test_entries_are_standard_and_inner_products_are_kept() -> None:
    """Rows of length 3 in 50 dimensions over a scale of 3: N(0, 1) entries; <Rx, Ry> / e ~ <x, y>.

    Over 4,000 columns an estimate's standard error is at most sqrt(2 / 4000) = 0.022.
    """
    raw = np.random.default_rng(1).normal(size=(20, 50)) + 0.5
    raw *= 3 / np.linalg.norm(raw, axis=1, keepdims=True)
    wide = projected_vectors(
        ItemVectors("x", raw.astype(np.float32), 3.0), torch.arange(20), 4000
    ).double()
    assert float(wide.mean()) == pytest.approx(0, abs=0.02)
    assert float(wide.std()) == pytest.approx(1, abs=0.02)
    products = torch.tensor(raw @ raw.T / 9)
    assert torch.allclose(wide @ wide.T / 4000, products, atol=0.1)


def test_looked_up_tokens() -> None:
    """What every embedder, a user's class included, reads: one row a distinct token."""
    tokens = used_tokens(ITEMS, ROWS, E)
    assert len(tokens.table) == len(CODES.unique())
    for item in range(V):
        for place in range(3):
            expected = _token(int(CODES[item, place]))
            found = tokens.table[tokens.index[item, place]].double()
            assert torch.allclose(found, expected, atol=1e-4)


def test_mean_of_codes_and_vectors() -> None:
    """The kind 'fixed' is the weighted mean at unit RMS, nothing else."""
    found = _vectors("fixed", 0)
    for item in range(V):
        pairs = zip(CODES[item].tolist(), WEIGHTS[item].tolist(), strict=True)
        mean = sum((weight * _token(code, D) for code, weight in pairs), torch.zeros(D))
        unit = mean / mean.square().mean().sqrt()
        assert torch.allclose(found[item].double(), unit, atol=1e-4)


def test_a_tabtransformer_adds_the_column() -> None:
    """Its token is (vector + column) / sqrt 2, as of any value."""
    items = Items(CODES[:, 1:2], WEIGHTS[:, 1:2], _first(COLUMNS, [101] * V), ITEMS.vectors)
    embedder = _embedder("tabtransformer", 0, items)
    both = torch.stack([_token(int(code)) + _token(101) for code in CODES[:, 1]]) / math.sqrt(2)
    unit = both / both.square().mean(1, keepdim=True).sqrt()
    means = embedder.get_buffer("means").double()
    assert torch.allclose(means, unit, atol=1e-4)


def _first(columns: Columns, codes: Sequence[int]) -> Columns:
    of_token = torch.tensor(codes, dtype=torch.int32)[:, None]
    return replace(columns, column_of_token=of_token)


@each_kind
def test_a_vector_moves_its_own_items_alone(kind: str, depth: int) -> None:
    """Items 1 and 3 are given by the vector of item 1; the others stay as they are."""
    before = _vectors(kind, depth)
    after = _vectors(kind, depth, replace(ITEMS, vectors=(_changed(IMAGE, 1), SOUND)))
    moved = (before - after).abs().amax(1) > 0.01
    assert moved.tolist() == [False, True, False, True, False]


@each_kind
def test_an_unseen_item_is_embedded_from_its_features_alone(kind: str, depth: int) -> None:
    """Item 3 has the features of item 1: the same vector, with whatever weights were learnt."""
    embedder = _embedder(kind, depth)
    with torch.no_grad():
        for parameter in embedder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=seeded("learnt")))
    vectors = embedder(torch.arange(V)).detach()
    assert torch.allclose(vectors[3], vectors[1], atol=1e-5)
    assert not torch.allclose(vectors[0], vectors[2], atol=0.01)
    assert vectors.isfinite().all()


@each_kind
def test_vectors_cost_no_parameter(kind: str, depth: int) -> None:
    embedder = _embedder(kind, depth)
    held = sum(parameter.numel() for parameter in embedder.parameters())
    assert held == embedder_parameters(embedder.spec, D)
    assert not embedder.state_dict().keys() - dict(embedder.named_parameters()).keys()


def test_a_two_part_model_takes_them() -> None:
    model = TwoPart(
        EmbedderSpec("transformer", E, 1),
        ContextualizerSpec("transformer", D, 1, 1),
        CODES,
        WEIGHTS,
        ROWS,
        0,
        vectors=ITEMS.vectors,
    )
    catalogue = model.catalogue_vectors()
    assert catalogue.shape == (V, D)
    assert torch.allclose(catalogue[3], catalogue[1], atol=1e-5)


def test_what_cannot_be_embedded_is_refused() -> None:
    with pytest.raises(ValueError, match=r"item 0 has a code outside 0\.\.511"):
        _embedder("mlp", 1, replace(ITEMS, vectors=()))
    with pytest.raises(ValueError, match=r"item 0 has a code outside 0\.\.516"):
        _embedder("mlp", 1, replace(ITEMS, vectors=(IMAGE,)))
    short = replace(IMAGE, array=IMAGE.array[:4])
    with pytest.raises(ValueError, match=r"vectors 'image' \(4, 3\) must be \[V, dim\] of 5 items"):
        _embedder("mlp", 1, replace(ITEMS, vectors=(short, SOUND)))
