"""Events over time, by hour, day, week, month or year: the finest that gives few enough bars.

Choices: calendar units in UTC, weeks from Monday; the counts of every split stand apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Unit = Literal["hour", "day", "week", "month", "year"]
MOST = 160  # bars, but for months and years

_SECONDS: dict[Unit, int] = {"hour": 3600, "day": 86400, "week": 7 * 86400}
_MONDAY = 4 * 86400  # 1970-01-05


@dataclass(frozen=True)
class Timeline:
    """Events by calendar unit."""

    unit: Unit
    starts: list[int]  # unix seconds at which each unit begins
    events: dict[str, list[int]]  # split: events in each unit; splits without events left out


def unit_of(first: int, last: int) -> Unit:
    """The finest unit with at most MOST bars from first to last (months: four times as many)."""
    for unit in ("hour", "day", "week"):
        if (last - first) // _SECONDS[unit] < MOST:
            return unit
    return "month" if (last - first) // (30 * 86400) < 4 * MOST else "year"


def timeline(
    parts: Iterable[tuple[NDArray[np.int64], NDArray[np.uint8]]],
    first: int,
    last: int,
    names: dict[str, int],
) -> Timeline:
    """Count events.

    Args:
        parts: times (unix seconds) and split codes of some events, the same number of each.
        first: the earliest of all times.
        last: the latest.
        names: split names and their codes.
    """
    unit = unit_of(first, last)
    base, end = _places(np.array([first, last], dtype=np.int64), unit).tolist()
    counts = np.zeros((max(names.values()) + 1, end - base + 1), dtype=np.int64)
    for times, split in parts:
        places = split.astype(np.int64) * counts.shape[1] + _places(times, unit) - base
        counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
    return Timeline(
        unit,
        [_start(place, unit) for place in range(base, end + 1)],
        {name: counts[code].tolist() for name, code in names.items() if counts[code].any()},
    )


def _places(times: NDArray[np.int64], unit: Unit) -> NDArray[np.int64]:
    """Number of the unit that each time falls into, counted from 1970."""
    if unit in ("month", "year"):
        kind = "M8[M]" if unit == "month" else "M8[Y]"
        return times.astype("M8[s]").astype(kind).astype(np.int64)
    shift = _MONDAY if unit == "week" else 0
    places: NDArray[np.int64] = (times - shift) // _SECONDS[unit]
    return places


def _start(place: int, unit: Unit) -> int:
    if unit in ("month", "year"):
        kind = "M8[M]" if unit == "month" else "M8[Y]"
        return int(np.array(place).astype(kind).astype("M8[s]").astype(np.int64))
    return place * _SECONDS[unit] + (_MONDAY if unit == "week" else 0)
