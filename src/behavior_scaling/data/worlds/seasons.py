"""The calendar of a world: the season of a time, and how likely each is after the next gap.

Choices: a season is a property of the day (UTC) in a cycle of days that begins on a Monday; the
odds after a gap follow in closed form from the gap's distribution function, wrapped round the
cycle, because the time of the next event is not known when its item is predicted.
"""

from __future__ import annotations

import numpy as np

from behavior_scaling.data.worlds.parameters import Floats, Ints, WorldSpec

DAY = 86_400
_MONDAY = 3  # 1 January 1970 was a Thursday


def season(spec: WorldSpec, times: Ints) -> Ints:
    """Season of each time, of the same shape."""
    return np.array(spec.seasons)[_day(spec, times)]


def odds(spec: WorldSpec, times: Ints) -> tuple[Floats, Floats]:
    """P(season of the next event | time of this one) after a gap inside and between sessions.

    Args:
        spec: the world's parameters.
        times: of the present events [n], unix seconds.

    Returns:
        inside [n, S] and between [n, S].
    """
    if spec.n_seasons == 1:
        one = np.ones((len(times), 1))
        return one, one
    cycle = len(spec.seasons)
    left = DAY - 1 - times % DAY  # the largest gap that ends today
    edges = left[:, None] + DAY * np.arange(2 * cycle)  # the last of each coming day [n, 2 C]

    inside = np.diff(np.minimum(edges, spec.within) / spec.within, axis=1, prepend=0.0)
    survival = np.exp(-np.maximum(edges - spec.silence, 0) / spec.between)
    between = -np.diff(survival, axis=1, prepend=1.0)
    # Survival falls by the factor `wrap` every cycle from the second on: a geometric series.
    wrap = np.exp(-cycle * DAY / spec.between)
    between[:, cycle:] /= 1 - wrap
    coming = np.array(spec.seasons)[(_day(spec, times)[:, None] + np.arange(2 * cycle)) % cycle]
    member = coming[:, :, None] == np.arange(spec.n_seasons)  # [n, 2 C, S]
    return (
        np.einsum("nc,ncs->ns", inside, member),
        np.einsum("nc,ncs->ns", between, member),
    )


def _day(spec: WorldSpec, times: Ints) -> Ints:
    """Place in the cycle of each time's day."""
    return np.asarray((times // DAY + _MONDAY) % len(spec.seasons))
