"""Sizes of every run of config/paper.yaml against torch, on fake tensors: nothing is allocated.

A run's step is taken apart (fake_parts.py): its parts are run at a reduced batch, and what they
cost is shown to grow with the batch and no faster. Shapes repeat over runs, so each is run once.
`every` = 1 is every run or shape; the quick form takes some of them from the smallest to the
largest.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from behavior_scaling.config import load_study
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec
from behavior_scaling.sizes import flops, parameters, saved
from behavior_scaling.sweep.cells import Cell, unique
from behavior_scaling.sweep.plan import make_plan

from . import fake_parts as fake
from .fake_parts import Precision

PAPER = Path(__file__).parents[2] / "config" / "paper.yaml"
N_ITEMS = 3_700_000  # V of the study's data, about
ITEMS = 25  # of 24 tokens, which fill rows of attention to the last place
ROWS = 1
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16-mixed")
every_run = pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 120])
every_shape = pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 9])
each_precision = pytest.mark.parametrize("precision", PRECISIONS)


@cache
def _study() -> tuple[int, int, tuple[Cell, ...]]:
    """L, T, and the runs, parents of stage 2 among them."""
    study = load_study(PAPER)
    cells = make_plan(study, N_ITEMS).cells
    return study.data.context, study.data.tokens, tuple(unique(list(cells)))


def _cells(every: int) -> list[Cell]:
    """Runs by size and stage."""
    return sorted(_study()[2], key=lambda c: (c.stage, c.n_total, c.objective.uniform))[::every]


def _contextualizers() -> list[ContextualizerSpec]:
    return sorted({c.contextualizer for c in _study()[2]}, key=lambda s: (s.width, s.layers))


def _embedders() -> list[tuple[EmbedderSpec, int]]:
    """Those that embed with a gradient, with the width of what they give."""
    found = {
        (c.embedder, c.contextualizer.width)
        for c in _study()[2]
        if not flops.vectors_are_frozen(c.embedder, c.stage)
    }
    return sorted(found, key=lambda pair: (pair[0].width, pair[1]))


def test_the_study_is_the_papers() -> None:
    """What the tests below run over is what they claim."""
    context, tokens, cells = _study()
    assert (context, tokens) == (256, 24)
    assert len(cells) > 500
    assert max(c.objective.uniform for c in cells) == 2_000_000


@every_run
def test_parameters(every: int) -> None:
    """Of every run, both parts: equal."""
    for cell in _cells(every):
        width = cell.contextualizer.width
        found = fake.contextualizer_parameters(cell.contextualizer)
        assert found == parameters.contextualizer_parameters(cell.contextualizer), cell
        if cell.embedder.kind != "fixed":
            found = fake.embedder_parameters(cell.embedder, width)
            assert found == parameters.embedder_parameters(cell.embedder, width), cell


@every_run
def test_flops(every: int) -> None:
    """Nominal FLOPs a position of every run, part by part: within 1% of PyTorch's counter.

    Nominal FLOPs count an item's own pairs of tokens, what runs those of the packed rows.
    """
    context, tokens, _ = _study()
    length, stretch = saved.token_row(tokens)
    pairs = ITEMS * tokens // stretch * length**2
    for cell in _cells(every):
        spec, width = cell.contextualizer, cell.contextualizer.width
        frozen = flops.vectors_are_frozen(cell.embedder, cell.stage)
        ours = flops.nominal(
            cell.embedder,
            spec,
            cell.objective,
            stage=cell.stage,
            batch=cell.batch,
            context=context,
            tokens=tokens,
            n_items=N_ITEMS,
        )
        found = fake.deep_flops(spec, ROWS, context, frozen)
        grid = ROWS * context
        assert found.batched > 0
        assert found.batched / grid == pytest.approx(ours.attention, rel=0.01), cell
        assert found.total / grid == pytest.approx(ours.contextualizer + ours.attention, rel=0.01)
        candidates = flops.candidates_drawn(cell.objective, N_ITEMS)
        logits = fake.logits_flops(width, candidates, frozen).total / fake.SCORED
        if flops.scores_past(cell.objective, N_ITEMS):
            logits += fake.past_flops(width, ROWS, context, frozen).total / grid
        assert logits == pytest.approx(ours.logits, rel=0.01), cell
        if frozen:
            assert ours.embedder == 0
            continue
        items = 1 + cell.objective.uniform / (cell.batch * context)
        counted = fake.embedder_flops(cell.embedder, width, tokens, ITEMS)
        blocks = 12 * cell.embedder.width * cell.embedder.depth
        packing = blocks * (pairs - ITEMS * tokens**2)
        assert (counted.batched > 0) == (cell.embedder.depth > 0)
        assert (counted.total - packing) / ITEMS * items == pytest.approx(ours.embedder, rel=0.01)


@pytest.mark.slow
def test_all_layers() -> None:
    """What two layers say of the deeper ones is what these run and save: equal, at every shape."""
    context = _study()[0]
    for spec in _contextualizers():
        whole = fake.contextualizer_flops(spec, ROWS, context, False)
        assert fake.deep_flops(spec, ROWS, context, False) == whole, spec
        for precision in PRECISIONS:
            found = fake.contextualizer_saved(spec, ROWS, context, precision)
            assert fake.deep_saved(spec, ROWS, context, precision) == found, spec


@each_precision
@every_shape
def test_activations_of_the_contextualizer(precision: Precision, every: int) -> None:
    """Within 2% of what autograd saves, at every shape."""
    context = _study()[0]
    for spec in _contextualizers()[::every]:
        found = fake.deep_saved(spec, ROWS, context, precision) / (ROWS * context)
        ours = saved.contextualizer_saves(spec, context, precision)
        assert found == pytest.approx(ours, rel=0.02), spec


@each_precision
@every_shape
def test_activations_of_the_embedder(precision: Precision, every: int) -> None:
    """Within 5% of what autograd saves, at every shape: places of tokens weigh at width 6."""
    tokens = _study()[1]
    for spec, width in dict(_embedders()[::every]).items():
        found = fake.embedder_saved(spec, width, tokens, ITEMS, precision) / ITEMS
        ours = saved.embedder_saves(spec, width, tokens, precision)
        assert found == pytest.approx(ours, rel=0.05 if spec.width > 16 else 0.15), spec


@each_precision
def test_activations_of_scoring_the_past(precision: Precision) -> None:
    """Within 2% of what autograd saves, at every width."""
    context = _study()[0]
    for width in {spec.width for spec in _contextualizers()}:
        found = fake.past_saved(width, ROWS, context, precision) / (ROWS * context)
        assert found == pytest.approx(saved.past_saves(width, context, precision), rel=0.02)


def test_everything_grows_with_the_batch() -> None:
    """Four times the rows or items: four times the FLOPs and the bytes, exactly."""
    context, tokens, _ = _study()
    for deep in _contextualizers()[::20]:
        spec = replace(deep, layers=2)
        one, four = (fake.contextualizer_flops(spec, n, context, False) for n in (1, 4))
        assert (four.total, four.batched) == (4 * one.total, 4 * one.batched)
        for precision in PRECISIONS:
            few, many = (fake.contextualizer_saved(spec, n, context, precision) for n in (1, 4))
            assert many == 4 * few
        past = [fake.past_saved(spec.width, n, context, "fp32") for n in (1, 4)]
        assert past[1] == 4 * past[0]
    for embedder, width in _embedders()[::45]:
        one, four = (fake.embedder_flops(embedder, width, tokens, n * ITEMS) for n in (1, 4))
        assert four.total == 4 * one.total
        for precision in PRECISIONS:
            few, many = (
                fake.embedder_saved(embedder, width, tokens, n * ITEMS, precision) for n in (1, 4)
            )
            assert many == pytest.approx(4 * few, rel=1e-3)
