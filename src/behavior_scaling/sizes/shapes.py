"""Which models can be built, and the one nearest to a wanted N and share.

Choices: distance is Euclidean in (log N, log s), so that 10% of either weighs the same; ties
go to the smaller N, then the smaller share, then the order of the study's lists. Share 0 is the
control: a 'fixed' embedder, nearest in N alone; a table, counted apart, has share 0 as well.
Realised values, not wanted ones, enter fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from behavior_scaling.config_parts import ContextualizerConfig, EmbedderConfig
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec
from behavior_scaling.sizes.parameters import contextualizer_parameters, embedder_parameters


@dataclass(frozen=True)
class Shape:
    """A realisable pair and its size."""

    embedder: EmbedderSpec
    contextualizer: ContextualizerSpec
    n_emb: int
    n_ctx: int

    @property
    def parameters(self) -> int:
        """N = N_emb + N_ctx."""
        return self.n_emb + self.n_ctx

    @property
    def share(self) -> float:
        """s = N_emb / N."""
        return self.n_emb / self.parameters


def catalogue(
    embedder_config: EmbedderConfig, contextualizer_config: ContextualizerConfig
) -> Iterator[Shape]:
    """Every pair of the study with a trainable embedder, in the order of its lists.

    A table has the contextualizer's width, whatever the lists of widths and depths say.
    """
    for contextualizer in _ladder(contextualizer_config):
        if embedder_config.kind == "table":
            yield _shape(EmbedderSpec("table", contextualizer.width, 0), contextualizer)
            continue
        for depth in embedder_config.depths:
            for width in embedder_config.widths:
                yield _shape(EmbedderSpec(embedder_config.kind, width, depth), contextualizer)


def controls(contextualizer_config: ContextualizerConfig) -> Iterator[Shape]:
    """Every contextualizer of the study with a 'fixed' embedder: share 0."""
    for contextualizer in _ladder(contextualizer_config):
        yield _shape(EmbedderSpec("fixed", contextualizer.width, 0), contextualizer)


def realise(
    embedder_config: EmbedderConfig,
    contextualizer_config: ContextualizerConfig,
    parameters: float,
    share: float,
) -> Shape:
    """The pair nearest to N = `parameters` and s = `share`.

    Raises:
        ValueError: N not positive, or a share outside [0, 1).
    """
    return nearest(realisable(embedder_config, contextualizer_config, share), parameters, share)


def realisable(
    embedder_config: EmbedderConfig, contextualizer_config: ContextualizerConfig, share: float
) -> list[Shape]:
    """The pairs among which `realise` chooses: controls for share 0, else the catalogue."""
    if share == 0 and embedder_config.kind != "table":
        return list(controls(contextualizer_config))
    return list(catalogue(embedder_config, contextualizer_config))


def nearest(shapes: Sequence[Shape], parameters: float, share: float) -> Shape:
    """The one of some pairs that is nearest to N = `parameters` and s = `share`.

    Raises:
        ValueError: N not positive, or a share outside [0, 1).
    """
    if not parameters > 0 or not 0 <= share < 1:
        raise ValueError(f"no model has N = {parameters:g} and an embedder share of {share:g}")

    def rank(shape: Shape) -> tuple[float, int, float]:
        in_size = math.log(shape.parameters / parameters)
        in_share = math.log(shape.share / share) if share else 0.0
        distance = round(math.hypot(in_size, in_share), 12)  # so that a tie is a tie
        return distance, shape.parameters, shape.share

    return min(shapes, key=rank)


def _ladder(config: ContextualizerConfig) -> Iterator[ContextualizerSpec]:
    events = config.event_features
    for width, layers in config.ladder:
        yield ContextualizerSpec(
            config.kind,
            width,
            layers,
            config.heads(width),
            events,
            config.event_width if events else 0,
            config.temperature,
        )


def _shape(embedder: EmbedderSpec, contextualizer: ContextualizerSpec) -> Shape:
    return Shape(
        embedder,
        contextualizer,
        embedder_parameters(embedder, contextualizer.width),
        contextualizer_parameters(contextualizer),
    )
