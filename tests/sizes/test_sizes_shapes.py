"""The nearest realisable pair: brute force, ties, the control."""

from __future__ import annotations

import math

import pytest

from behavior_scaling.config_parts import ContextualizerConfig, EmbedderConfig
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec
from behavior_scaling.sizes.shapes import catalogue, realise

EMBEDDER, CONTEXTUALIZER = EmbedderConfig(), ContextualizerConfig()


def test_catalogue_holds_every_pair_once() -> None:
    """Widths x depths x ladder, with N and s by hand for one of them."""
    shapes = list(catalogue(EMBEDDER, CONTEXTUALIZER))
    pairs = len(EMBEDDER.widths) * len(EMBEDDER.depths) * len(CONTEXTUALIZER.ladder)
    assert len({(s.embedder, s.contextualizer) for s in shapes}) == len(shapes) == pairs
    wanted = (EmbedderSpec("transformer", 8, 1), ContextualizerSpec("transformer", 48, 2, 3))
    (shape,) = [s for s in shapes if (s.embedder, s.contextualizer) == wanted]
    assert shape.n_emb == 12 * 64 + 8 * 48
    assert shape.n_ctx == 24 * 48**2 + 1
    assert shape.share == pytest.approx(1152 / (1152 + 55297))


@pytest.mark.parametrize("parameters", [500, 3_000, 14_000, 90_000, 2e6])
@pytest.mark.parametrize("share", [0.002, 0.02, 0.1, 0.5])
def test_realise_finds_the_nearest(parameters: float, share: float) -> None:
    """No other pair of the catalogue is nearer in (log N, log s)."""
    found = realise(EMBEDDER, CONTEXTUALIZER, parameters, share)

    def distance(n: float, s: float) -> float:
        return math.hypot(math.log(n / parameters), math.log(s / share))

    distances = {
        (shape.embedder, shape.contextualizer): distance(shape.parameters, shape.share)
        for shape in catalogue(EMBEDDER, CONTEXTUALIZER)
    }
    assert distances[found.embedder, found.contextualizer] == pytest.approx(
        min(distances.values()), abs=1e-9
    )


def test_realisable_wishes_are_met_exactly() -> None:
    """Asking for a pair's own N and s gives that pair back, or one of equal N and s."""
    for shape in list(catalogue(EMBEDDER, CONTEXTUALIZER))[::37]:
        found = realise(EMBEDDER, CONTEXTUALIZER, shape.parameters, shape.share)
        assert found.contextualizer == shape.contextualizer
        assert found.embedder == shape.embedder


def test_ties_go_to_the_smaller_model() -> None:
    """Half way in log N between two rungs (same share): the smaller one, however often asked."""
    embedder = EmbedderConfig(kind="mlp", widths=(4,), depths=(0,))
    ladder = ContextualizerConfig(ladder=((8, 1), (32, 1)))
    small, large = catalogue(embedder, ladder)
    middle = math.sqrt(small.parameters * large.parameters)
    share = math.sqrt(small.share * large.share)
    assert {realise(embedder, ladder, middle, share).contextualizer.width for _ in range(3)} == {8}
    swapped = ContextualizerConfig(ladder=((32, 1), (8, 1)))
    assert realise(embedder, swapped, middle, share).contextualizer.width == 8
    assert realise(embedder, ladder, middle * 1.01, share).contextualizer.width == 32


def test_share_zero_is_the_control() -> None:
    """A fixed embedder of the contextualizer's width, nearest in N."""
    found = realise(EMBEDDER, CONTEXTUALIZER, 12_000, 0)
    embedder, contextualizer = found.embedder, found.contextualizer
    assert embedder == EmbedderSpec("fixed", 32, 0)
    assert contextualizer == ContextualizerSpec("transformer", 32, 1, 2)


@pytest.mark.parametrize(("parameters", "share"), [(0, 0.1), (1e4, 1.0), (1e4, -0.1)])
def test_impossible_wishes_are_refused(parameters: float, share: float) -> None:
    """The message repeats the wish."""
    with pytest.raises(ValueError, match="no model has N"):
        realise(EMBEDDER, CONTEXTUALIZER, parameters, share)
