"""Event features to levels: every feature of an event becomes one small integer.

A level stands for fixed, weighted codes of the codebook that items use too, so the contextualizer
learns one matrix whatever the features are. Tables are fitted on train events alone.

Choices: a number's level is a bin between quantiles of the train values (atoms, such as a gap of
0 inside a session, have a bin of their own; what lies beyond the ends falls into the end bins, so
an outlier moves nothing); its codes are the two nearest of a few anchors along the bins, so that
neighbouring levels resemble each other. A category's level is its place among the most frequent
train values. The calendar (UTC) is hour of day and day of week: two codes a level. Level 0 of
numbers and categories is the missing value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.features import code_of
from behavior_scaling.data.tables import EventKind

GAP, CALENDAR = "gap", "calendar"  # of every data set, before the source's own
BINS = 64  # of a number, at most
ANCHORS = 8  # codes along a number's bins
VALUES = 4096  # of a category, at most; rarer ones share a level
MISSING, OTHER = 0, 1
DAY, HOUR = 86_400, 3_600  # seconds
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0

Levels = NDArray[np.uint16]
Weighted = Sequence[tuple[str, float]]  # tokens of a level, two at most


@dataclass(frozen=True)
class NumericLevels:
    """Levels of a number: missing, then bin i from edge i up to the next edge."""

    edges: NDArray[np.float64]  # distinct, ascending; empty where no train value is finite
    codes: NDArray[np.int32]  # [S, 2] rows of the codebook
    weights: NDArray[np.float32]  # [S, 2] padding 0

    @classmethod
    def fit(cls, name: str, sample: NDArray[np.float64], codebook: int) -> NumericLevels:
        """Place the bins by train values, NaN where missing; infinite ones place none."""
        finite = sample[np.isfinite(sample)]
        edges = np.empty(0)
        if len(finite):
            shares = np.linspace(0, 1, BINS)
            edges = np.unique(np.quantile(finite, shares, method="inverted_cdf"))
        anchors = min(ANCHORS, len(edges))
        place = np.linspace(0, max(anchors - 1, 0), len(edges))
        levels = [[(f"event {name}=<missing>", 1.0)]]
        for at in place.tolist():
            low = int(at)
            pair = (low, 1 - (at - low)), (low + 1, at - low)
            levels.append([(f"event {name}=anchor {n}", w) for n, w in pair if w > 0])
        return cls(edges, *_coded(levels, codebook))

    def levels(self, values: NDArray[np.float64]) -> Levels:
        """Level of each value [n]; with no edges everything is missing."""
        if not len(self.edges):
            return np.zeros(len(values), dtype=np.uint16)
        found = np.maximum(np.searchsorted(self.edges, values, side="right"), 1)
        found[np.isnan(values)] = MISSING
        return found.astype(np.uint16)


@dataclass(frozen=True)
class CategoricalLevels:
    """Levels of a category: missing, any other value, then the known ones."""

    level: dict[str | None, int]
    codes: NDArray[np.int32]  # [S, 2] rows of the codebook, one a level
    weights: NDArray[np.float32]  # [S, 2] padding 0

    @classmethod
    def fit(cls, name: str, counts: Mapping[str, int], codebook: int) -> CategoricalLevels:
        """Keep the most frequent train values; of equally frequent ones the first in order."""
        known = sorted(counts, key=lambda value: (-counts[value], value))[:VALUES]
        level: dict[str | None, int] = {value: OTHER + 1 + n for n, value in enumerate(known)}
        level[None] = MISSING
        tokens = ("<missing>", "<other>", *known)
        table = [[(f"event {name}={token}", 1.0)] for token in tokens]
        return cls(level, *_coded(table, codebook))

    def levels_of(self, values: Iterable[str | None]) -> Levels:
        """Level of each value [n]; None is missing."""
        found = self.level.get
        return np.fromiter((found(value, OTHER) for value in values), dtype=np.uint16)


@dataclass(frozen=True)
class CalendarLevels:
    """Levels of a time: 24 * day of the week (Monday 0) + hour of the day, both in UTC."""

    codes: NDArray[np.int32]  # [168, 2] rows of the codebook: weekday, hour
    weights: NDArray[np.float32]  # [168, 2]

    @classmethod
    def of(cls, codebook: int) -> CalendarLevels:
        """The table; there is nothing to fit."""
        table = [
            [(f"event {CALENDAR} weekday={day}", 1.0), (f"event {CALENDAR} hour={hour}", 1.0)]
            for day in range(7)
            for hour in range(24)
        ]
        return cls(*_coded(table, codebook))

    @staticmethod
    def levels(times: NDArray[np.int64]) -> Levels:
        """Level of each time [n], unix seconds."""
        weekday = (times // DAY + EPOCH_WEEKDAY) % 7
        return (24 * weekday + times % DAY // HOUR).astype(np.uint16)


@dataclass(frozen=True)
class EventLevels:
    """Levels of all event features of a data set: gap, calendar, then the schema's in order.

    Attributes:
        names: F of them.
        features: by name.
        offsets: int64 [F + 1]; rows of feature f in the stacked tables.
        codes: int32 [S, 2], the features' tables one below the other.
        weights: float32 [S, 2].
    """

    names: tuple[str, ...]
    features: Mapping[str, NumericLevels | CategoricalLevels | CalendarLevels]
    offsets: NDArray[np.int64]
    codes: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        schema_events: Sequence[tuple[str, EventKind]],
        samples: Mapping[str, NDArray[np.float64] | Mapping[str, int]],
        codebook: int,
    ) -> EventLevels:
        """Fit every feature on train events.

        Args:
            schema_events: the source's event features and their kinds.
            samples: by name, 'gap' among them: of a number its train values (NaN where missing),
                of a category how often each of its train values occurs.
            codebook: number of codes.

        Raises:
            DataError: a feature of the source has the name of one that every data set has, or a
                name twice.
        """
        names = (GAP, CALENDAR, *(name for name, _ in schema_events))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"event feature {twice[0]!r} twice: {GAP!r} and {CALENDAR!r} are made from the "
                f"timestamps, and every other name may stand once; rename the column"
            )
        features: dict[str, NumericLevels | CategoricalLevels | CalendarLevels] = {
            CALENDAR: CalendarLevels.of(codebook)
        }
        for name in (GAP, *names[2:]):
            sample = samples[name]
            features[name] = (
                CategoricalLevels.fit(name, sample, codebook)
                if isinstance(sample, Mapping)
                else NumericLevels.fit(name, sample, codebook)
            )
        sizes = [len(features[name].codes) for name in names]
        return cls(
            names,
            features,
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.concatenate([features[name].codes for name in names]),
            np.concatenate([features[name].weights for name in names]),
        )

    def levels(
        self, times: NDArray[np.int64], gaps: NDArray[np.float64], columns: Mapping[str, Any]
    ) -> Levels:
        """Levels of n events by feature, uint16 [n, F].

        Args:
            times: unix seconds [n].
            gaps: seconds since the user's event before [n]; NaN at a user's first event.
            columns: by name of the source's features: float64 [n], or n of str | None.
        """
        given = {**columns, GAP: gaps, CALENDAR: times}
        made = np.empty((len(times), len(self.names)), dtype=np.uint16)
        for place, name in enumerate(self.names):
            feature = self.features[name]
            if isinstance(feature, CategoricalLevels):
                made[:, place] = feature.levels_of(given[name])
            else:
                made[:, place] = feature.levels(given[name])
        return made


def _coded(
    levels: Sequence[Weighted], codebook: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Codes and weights [S, 2] of the tokens of S levels."""
    codes = np.zeros((len(levels), 2), dtype=np.int32)
    weights = np.zeros((len(levels), 2), dtype=np.float32)
    for level, tokens in enumerate(levels):
        for place, (token, weight) in enumerate(tokens):
            codes[level, place] = code_of(token, codebook)
            weights[level, place] = weight
    return codes, weights
