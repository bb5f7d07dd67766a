"""What every contestant is given: shapes, batch, durations, and each one's own published settings.

Choices: a batch is 32 sequences of L = 64, up to 2,048 target positions, for all that train every
position. RecBole trains one target a sequence: 2,048 of them (its default) are 32 times the work
of a step of the others, and on two cores it makes the most targets a second at 256, so that is
its batch. Hyper-parameters are the published defaults but for what the shape fixes; learning
rates were tried at three values each (README), the best one stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

LENGTH = 64  # L, the context of the prepared data
BATCH = 32  # sequences a step
RECBOLE_BATCH = 256
CUTOFF = 10  # of NDCG
EVERY = 2  # every second validation position is scored, the same ones for all


@dataclass(frozen=True)
class Shape:
    """Width d, blocks and heads of every contestant; width e of our feature embedder."""

    width: int
    layers: int
    heads: int
    embedder: int

    @property
    def name(self) -> str:
        """As it stands in file names and tables."""
        return f"d{self.width}x{self.layers}"


SHAPES = {shape.name: shape for shape in (Shape(64, 2, 4, 48), Shape(32, 1, 2, 24))}
QUALITY_SHAPE = "d64x2"

# Contestant: (module, class, needs the peers' own environment).
CONTESTANTS = {
    "ours-features": ("ours", "OursFeatures", False),
    "ours-table": ("ours", "OursTable", False),
    "rectools-sasrec": ("rectools_sasrec", "RecToolsSASRec", True),
    "gsasrec": ("gsasrec", "GSASRec", True),
    "recbole-sasrec": ("recbole_sasrec", "RecBoleSASRec", True),
}

# A factor on each contestant's own rate: 1e-3 of the peers, the quick study's rule of ours.
LR_FACTORS = dict.fromkeys(CONTESTANTS, 1.0) | {"gsasrec": 3.0, "recbole-sasrec": 3.0}


@dataclass(frozen=True)
class Durations:
    """Seconds of training, by part of the benchmark."""

    warm: float  # of a throughput job, before it counts
    counted: float
    rounds: int
    horizons: tuple[float, ...]  # of quality runs, ascending
    moments: tuple[float, ...]  # when quality is measured, as shares of the horizon


FULL = Durations(3.0, 8.0, 3, (60.0, 120.0), (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0))
QUICK = Durations(2.0, 4.0, 1, (20.0,), (0.25, 0.5, 1.0))
