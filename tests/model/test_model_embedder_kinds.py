"""The tabtransformer and the table: a plain reference, missing numbers, unseen values, scale."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.codebook import code_vectors
from behavior_scaling.model.embedder import make_embedder
from behavior_scaling.model.embedder_base import Columns, ItemEmbedder, Items
from behavior_scaling.model.seeding import seeded
from behavior_scaling.records.spec import EmbedderSpec

ROWS, E, D = 512, 6, 8
NAN = math.nan
BRAND, TAGS = 100, 101
# Four items: brand, a bin of a number, tags; numbers beside them.
ITEMS = Items(
    torch.tensor([[7, 30, 9, 0], [7, 31, 9, 12], [8, 30, 9, 0], [7, 30, 9, 0]]),
    torch.tensor([[1.0, 1, 2, 0], [1, 1, 1, 1], [1, 1, 2, 0], [1, 1, 2, 0]]),
    Columns(
        torch.tensor(
            [[BRAND, -1, TAGS, -1], [BRAND, -1, TAGS, TAGS]] + [[BRAND, -1, TAGS, -1]] * 2
        ),
        torch.tensor([[0.5, -1.0], [0.0, 1.0], [0.5, -1.0], [NAN, -1.0]]),
        torch.tensor([[200, 201], [202, 203]]),
    ),
)
each_depth = pytest.mark.parametrize("depth", [0, 1, 2])


def _tab(depth: int, items: Items = ITEMS) -> ItemEmbedder:
    spec = EmbedderSpec("tabtransformer", E, depth)
    return make_embedder(spec, D, items, ROWS, seeded("test", depth))


def _vectors(embedder: ItemEmbedder, n: int = 4) -> Tensor:
    return embedder(torch.arange(n)).detach()


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def _gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


@each_depth
def test_plain_reference(depth: int) -> None:
    """Float64, one item at a time, tokens repeated instead of weighted."""
    embedder = _tab(depth)
    weight = {name: value.detach().double() for name, value in embedder.named_parameters()}

    def code(*rows: int) -> Tensor:
        return code_vectors(torch.tensor(rows), ROWS, E).double()

    tokens = {
        0: [(7, BRAND), (9, TAGS), (9, TAGS)],
        1: [(7, BRAND), (9, TAGS), (12, TAGS)],
        3: [(7, BRAND), (9, TAGS), (9, TAGS)],
    }
    price, absent, stock = code(200)[0], code(201)[0], code(202)[0]
    numbers = {0: 0.5 * price - stock, 1: stock, 3: absent - stock}
    for item, pairs in tokens.items():
        x = torch.cat([(code(value) + code(column)) / math.sqrt(2) for value, column in pairs])
        for block in range(depth):
            at = f"reader.blocks.{block}."
            query, key, value = (_unit(x) @ weight[at + "attention.qkv.weight"].t()).split(E, 1)
            mixed = torch.softmax(query @ key.t() / math.sqrt(E), 1) @ value
            x = x + mixed @ weight[at + "attention.out.weight"].t()
            up, down = weight[at + "mlp.up.weight"], weight[at + "mlp.down.weight"]
            x = x + _gelu(_unit(x) @ up.t()) @ down.t()
        mean = _unit(x.mean(0))
        both = torch.cat([mean, numbers[item] / math.sqrt(2)])
        mean = mean + _gelu(both @ weight["up.weight"].t()) @ weight["down.weight"].t()
        expected = _unit(mean) @ weight["out.weight"].t()
        assert torch.allclose(_vectors(embedder)[item].double(), expected, atol=2e-5)


@each_depth
def test_bins_do_not_enter_and_numbers_do(depth: int) -> None:
    """Another bin's code changes nothing; a missing number is not zero."""
    vectors = _vectors(_tab(depth))
    codes = ITEMS.codes.clone()
    codes[:, 1] = 77
    rebinned = _vectors(_tab(depth, Items(codes, ITEMS.weights, ITEMS.columns)))
    assert torch.allclose(vectors, rebinned, atol=1e-6)
    assert not torch.allclose(vectors[0], vectors[3], atol=1e-2), "0.5 and missing"
    assert ITEMS.columns is not None
    zero = ITEMS.columns.numbers.nan_to_num(0.0)
    zeroed = Columns(ITEMS.columns.column_of_token, zero, ITEMS.columns.number_codes)
    known = _vectors(_tab(depth, Items(ITEMS.codes, ITEMS.weights, zeroed)))
    assert torch.allclose(vectors[:3], known[:3], atol=1e-6)
    assert not torch.allclose(vectors[3], known[3], atol=1e-2), "0 and missing"


@each_depth
def test_an_item_does_not_depend_on_the_catalogue(depth: int) -> None:
    """Alone, among others, and with a brand that no other item has: the codes are fixed."""
    assert ITEMS.columns is not None
    for item in range(4):
        rows = slice(item, item + 1)
        columns = Columns(
            ITEMS.columns.column_of_token[rows],
            ITEMS.columns.numbers[rows],
            ITEMS.columns.number_codes,
        )
        alone = _tab(depth, Items(ITEMS.codes[rows], ITEMS.weights[rows], columns))
        assert torch.allclose(_vectors(alone, 1)[0], _vectors(_tab(depth))[item], atol=2e-6)


def test_equal_features_give_equal_vectors_and_say_so() -> None:
    """Equal tokens with unlike numbers (cut or rounded tokens) must not be merged."""
    assert _tab(1).distinguishes_items, "items 0 and 3 have equal tokens, other numbers"
    assert ITEMS.columns is not None
    numbers = ITEMS.columns.numbers.clone()
    numbers[3] = numbers[0]
    same = Columns(ITEMS.columns.column_of_token, numbers, ITEMS.columns.number_codes)
    embedder = _tab(1, Items(ITEMS.codes, ITEMS.weights, same))
    assert not embedder.distinguishes_items
    vectors = _vectors(embedder)
    assert torch.allclose(vectors[0], vectors[3], atol=1e-6)
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-2)


def test_without_numeric_columns_it_still_works() -> None:
    """The numbers' half is zero."""
    assert ITEMS.columns is not None
    none = Columns(
        ITEMS.columns.column_of_token, torch.empty(4, 0), torch.empty(0, 2, dtype=torch.int32)
    )
    vectors = _vectors(_tab(1, Items(ITEMS.codes, ITEMS.weights, none)))
    assert vectors.isfinite().all()
    assert torch.allclose(vectors[0], vectors[3], atol=1e-6)


def test_items_of_numbers_alone_are_refused() -> None:
    """And items whose columns are not known."""
    assert ITEMS.columns is not None
    of_token = ITEMS.columns.column_of_token.clone()
    of_token[2] = -1
    columns = Columns(of_token, ITEMS.columns.numbers, ITEMS.columns.number_codes)
    with pytest.raises(ValueError, match="item 2 has no token of a categorical"):
        _tab(1, Items(ITEMS.codes, ITEMS.weights, columns))
    with pytest.raises(ValueError, match="needs the columns"):
        _tab(1, Items(ITEMS.codes, ITEMS.weights))


def test_a_table_tells_items_apart_and_takes_a_gradient() -> None:
    """Rows of N(0, 1), dense gradient, no token needed, width d only."""
    items = Items(torch.zeros(3000, 1, dtype=torch.int32), torch.zeros(3000, 1))
    table = make_embedder(EmbedderSpec("table", D, 0), D, items, ROWS, seeded("table"))
    assert table.distinguishes_items
    (weight,) = table.parameters()
    assert float(weight.detach().std()) == pytest.approx(1.0, abs=0.02)
    assert float(weight.detach().mean()) == pytest.approx(0.0, abs=0.02)
    vectors = table(torch.tensor([5, 2, 5]))
    assert torch.equal(vectors, weight[[5, 2, 5]])
    vectors.sum().backward()
    assert weight.grad is not None
    assert weight.grad[:6, 0].tolist() == [0, 0, 1, 0, 0, 2]
    assert table.training_flops(torch.arange(9)) == 0
    with pytest.raises(ValueError, match=r"table embedder gives its rows .* width 8"):
        make_embedder(EmbedderSpec("table", 4, 0), D, items, ROWS, seeded("table"))
