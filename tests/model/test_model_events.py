"""What the contextualizer sees of events besides their items: by hand, only forwards, learnable."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from behavior_scaling.model.codebook import code_vectors
from behavior_scaling.model.event_input import EventTables, level_vectors
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec

V, S, ROWS, D, W = 12, 9, 256, 16, 6
PLAIN = ContextualizerSpec("transformer", D, 2, 2)
SPEC = replace(PLAIN, event_features=("gap", "type"), event_width=W)
DOCUMENT = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1], [2, 2, 2, 2, 2, 2, -1, -1]])


def _tables() -> EventTables:
    """Levels of one code and of two."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, ROWS, (S, 2), generator=generator)
    weights = torch.tensor([[1.0, 0.0], [0.25, 0.75], [1.0, 1.0]]).repeat(S // 3, 1)
    return EventTables(codes, weights)


def _model(spec: ContextualizerSpec = SPEC, embedder: EmbedderSpec | None = None) -> TwoPart:
    generator = torch.Generator().manual_seed(2)
    codes = torch.randint(0, ROWS, (V, 4), generator=generator)
    tables = _tables() if spec.event_features else None
    embedder = embedder or EmbedderSpec("mlp", 8, 1)
    return TwoPart(embedder, spec, codes, torch.ones(V, 4), ROWS, seed=3, events=tables)


def _rows(seed: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, S, (*DOCUMENT.shape, 2), generator=generator)


def _vectors() -> Tensor:
    return torch.randn(*DOCUMENT.shape, D, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def test_events_are_added_to_the_items_by_hand() -> None:
    model, rows, vectors = _model(), _rows(), _vectors()
    plain = TwoPart(
        EmbedderSpec("mlp", 8, 1), PLAIN, torch.zeros(1, 1).int(), torch.ones(1, 1), ROWS, seed=3
    )
    tables, matrix = _tables(), model.contextualizer.events.matrix.weight
    sums = vectors.clone()
    for row, column in torch.ones(DOCUMENT.shape).nonzero().tolist():
        seen = torch.zeros(W)
        for level in rows[row, column].tolist():
            pair = code_vectors(tables.codes[level], ROWS, W)
            (a, b), (x, y) = tables.weights[level].tolist(), pair
            seen += (a * x + b * y) / math.hypot(a, b) / math.sqrt(2)
        sums[row, column] += matrix @ seen
    found = model.states(vectors, DOCUMENT, rows)
    assert torch.allclose(found, plain.states(sums, DOCUMENT), atol=1e-5)
    assert not torch.allclose(found, plain.states(vectors, DOCUMENT), atol=0.1)


def test_an_events_levels_have_unit_size_on_average() -> None:
    """Entries of a level are N(0, 1) over codebooks, whatever its weights."""
    vectors = level_vectors(_tables(), ROWS, 2_000)
    assert torch.allclose(vectors.square().mean(1), torch.ones(S), atol=0.15)
    table = _model(replace(SPEC, event_width=2_000)).contextualizer.events.table
    sums = table[_rows()].sum(2).square().mean()
    assert float(sums) == pytest.approx(1, abs=0.15)


@torch.no_grad()
def test_without_event_features_nothing_changes() -> None:
    """The same blocks from the same seed, no further parameter, and no argument wanted."""
    model, plain = _model(), _model(PLAIN)
    named, known = dict(model.named_parameters()), dict(plain.named_parameters())
    assert set(named) - set(known) == {"contextualizer.events.matrix.weight"}
    assert all(torch.equal(named[name], known[name]) for name in known)
    assert set(plain.state_dict()) == set(known)
    assert torch.equal(model.catalogue_vectors(), plain.catalogue_vectors())


@torch.no_grad()
def test_an_events_features_reach_no_earlier_position_and_no_other_user() -> None:
    model, rows, vectors = _model(), _rows(), _vectors()
    before = model.states(vectors, DOCUMENT, rows)
    for row, column in (DOCUMENT >= 0).nonzero().tolist():
        changed = rows.clone()
        changed[row, column] = (rows[row, column] + 1) % S
        after = model.states(vectors, DOCUMENT, changed)
        moved = (after != before).any(2)
        later = torch.zeros_like(moved)
        later[row, column:] = DOCUMENT[row, column:] == DOCUMENT[row, column]
        assert torch.equal(moved, later)


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("kind", ["mlp", "fixed"])
def test_the_matrix_learns_in_either_stage(stage: int, kind: str) -> None:
    """Its gradient agrees with finite differences of the loss, in double precision."""
    model = _model(embedder=EmbedderSpec(kind, D if kind == "fixed" else 8, 0)).double()
    model.contextualizer.turn = model.contextualizer.turn.to(torch.complex128)
    frozen = model.catalogue_vectors().double() if stage == 2 else None
    generator = torch.Generator().manual_seed(6)
    inputs, targets = torch.randint(0, V, (2, *DOCUMENT.shape), generator=generator)
    batch = BatchTensors(inputs, targets, DOCUMENT, DOCUMENT >= 0, _rows())
    objective = Objective(
        ObjectiveSpec("full", 0, 0, "mask"), torch.full((V,), 1 / V, dtype=torch.float64)
    )
    weight = model.contextualizer.events.matrix.weight

    def loss() -> Tensor:
        return step_loss(model, objective, batch, frozen, 0, 0).loss

    (found,) = torch.autograd.grad(loss(), [weight])
    assert float(found.abs().max()) > 1e-3
    for place in ((0, 0), (7, 3), (D - 1, W - 1)):
        with torch.no_grad():
            weight[place] += 1e-3
            up = float(loss())
            weight[place] -= 2e-3
            down = float(loss())
            weight[place] += 1e-3
        assert float(found[place]) == pytest.approx((up - down) / 2e-3, rel=1e-2, abs=1e-5)


def test_an_event_that_tells_the_next_item_is_understood() -> None:
    """Items are drawn at random and each event's type names the next one: loss near 0, not ln V."""
    torch.manual_seed(0)
    embedder = EmbedderSpec("mlp", 8, 0)
    codes = torch.randint(0, ROWS, (8, 4))
    tables = EventTables(torch.arange(8).view(8, 1).repeat(1, 2), torch.tensor([[1.0, 0.0]] * 8))
    spec = replace(PLAIN, layers=1, event_features=("type",), event_width=8)
    model = TwoPart(embedder, spec, codes, torch.ones(8, 4), ROWS, seed=0, events=tables)
    objective = Objective(
        ObjectiveSpec("full", 0, 0, "mask"), torch.full((8,), 1 / 8, dtype=torch.float64)
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    document = torch.arange(16)[:, None].repeat(1, 8)
    for step in range(120):
        path = torch.randint(0, 8, (16, 9))
        inputs, targets = path[:, :-1].contiguous(), path[:, 1:].contiguous()
        batch = BatchTensors(inputs, targets, document, document >= 0, targets[:, :, None])
        loss = step_loss(model, objective, batch, None, 0, step).loss
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert float(loss.detach()) < 0.2 < math.log(8)


def test_events_and_model_must_fit() -> None:
    """Neither a silent guess nor a wrong table."""
    with pytest.raises(ValueError, match="batch carries no event features"):
        _model().states(_vectors(), DOCUMENT)
    with pytest.raises(ValueError, match="batch carries event features"):
        _model(PLAIN).states(_vectors(), DOCUMENT, _rows())
    with pytest.raises(ValueError, match="sees gap, type, but was given no"):
        TwoPart(EmbedderSpec("mlp", 8, 0), SPEC, torch.zeros(1, 1).int(), torch.ones(1, 1), ROWS, 0)
    with pytest.raises(ValueError, match="event_width of 1 at least"):
        _model(replace(SPEC, event_width=0))
    outside = replace(_tables(), codes=_tables().codes + ROWS)
    with pytest.raises(ValueError, match=r"outside 0..255"):
        level_vectors(outside, ROWS, W)
    nothing = replace(_tables(), weights=torch.zeros(S, 2))
    with pytest.raises(ValueError, match="has no code"):
        level_vectors(nothing, ROWS, W)
