"""The exact predictive distribution of a world: a forward filter over what is hidden.

Hidden are the user's type u, the interest z and, with payments, the fraud state f. The filter
carries P(f, u, z | past) from the first event on; docs/worlds.md derives it. What the reader of a
history is given is one of two:

- `items`: the items in their order. Whether an event opens a session is hidden, so rho is a mixture
  by h; amounts and types are not used. Exact only without drift.
- `events`: times besides (hence sessions and seasons), amounts and types of payment. The next
  event's time is not given: its session flag and season are averaged over.

Choices: users go in parts whose state stays in a cache; normalised at every event, so nothing
underflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.worlds.generate import Histories
from behavior_scaling.data.worlds.parameters import Floats, Ints, World
from behavior_scaling.data.worlds.seasons import odds, season

Information = Literal["items", "events"]

_PART = 512  # users at a time


@dataclass(frozen=True)
class Filtered:
    """What the filter says of n histories of T events.

    p(y_t | past) = mixture[t, 0] * r_t(y) + sum_k mixture[t, 1 + k] * emission[k, y]. Entries of
    the first event (nothing precedes it) are NaN; those beyond a history's length mean nothing.
    """

    logp: Floats  # [n, T] log p(y_t | past), nats
    mixture: Floats  # [n, T, 1 + rows of emission] sums to 1
    fraud: Floats | None  # [n, T] P(fraud at t | past and present event)


def refusal(world: World, information: Information) -> str | None:
    """Why there is no exact filter; None where there is one."""
    if information == "items" and world.spec.n_seasons > 1:
        return (
            f"{world.spec.name} drifts with the calendar and items alone tell no dates: no exact "
            f"filter; the entropy given 'events' is a lower bound"
        )
    return None


def forward(world: World, histories: Histories, information: Information) -> Filtered:
    """Filter whole histories.

    Raises:
        DataError: there is no exact filter for what is given.
    """
    reason = refusal(world, information)
    if reason is not None:
        raise DataError(reason)
    n, length = histories.items.shape
    logp = np.full((n, length), np.nan)
    mixture = np.full((n, length, 1 + len(world.emission)), np.nan)
    fraud = None if world.spec.payments is None else np.empty((n, length))
    by_item = np.ascontiguousarray(world.emission.T)  # [V, rows]: one gather an event
    for first in range(0, n, _PART):
        part = slice(first, first + _PART)
        one = _Part(world, histories.users(part), information, by_item)
        one.run(logp[part], mixture[part], None if fraud is None else fraud[part])
    return Filtered(logp, mixture, fraud)


def repeat_share(items: Ints, t: int, memory: int) -> Floats:
    """r_t(y_t): share of the t-th item among the last min(m, t) before it [n], t >= 1."""
    return np.asarray((items[:, max(t - memory, 0) : t] == items[:, t : t + 1]).mean(axis=1))


class _Part:
    """A few users, from their first event on; the state is P(f, u, z | past) [n, F, U, Z]."""

    def __init__(
        self,
        world: World,
        histories: Histories,
        information: Information,
        by_item: Floats,
    ) -> None:
        spec = world.spec
        self._world, self._past, self._by_item = world, histories, by_item
        self._timed = information == "events"
        self._either = (1 - spec.leave) * spec.stay + spec.leave * spec.stay_start
        self._season = season(spec, histories.times)
        self._marks = self._mark_likelihood() if self._timed else None

    def run(self, logp: Floats, mixture: Floats, fraud: Floats | None) -> None:
        """Fill the rows of these users."""
        world, past = self._world, self._past
        spec = world.spec
        theta = world.theta[self._season[:, 0]]  # [n, U, Z]
        state = world.fraud_start[:, None, None] * (world.pi[:, None] * theta)[:, None]
        for t in range(past.items.shape[1]):
            rows = self._by_item[past.items[:, t]]  # [n, Z (+ 1)]
            repeats = np.zeros(len(rows)) if t == 0 else repeat_share(past.items, t, spec.memory)
            chance = spec.repeat if t else 0.0
            if t:
                ahead, state = self._step(state, t)
                mixture[:, t] = self._mixture(ahead, chance)
                logp[:, t] = np.log(
                    mixture[:, t, 0] * repeats + (mixture[:, t, 1:] * rows).sum(axis=1)
                )
            likelihood = np.empty((len(rows), *state.shape[1:2], spec.interests))  # [n, F, Z]
            likelihood[:, 0] = chance * repeats[:, None] + (1 - chance) * rows[:, : spec.interests]
            if fraud is not None:
                likelihood[:, 1] = rows[:, spec.interests :]
                if self._marks is not None:
                    likelihood *= self._marks[:, t, :, None]
            state *= likelihood[:, :, None]
            by_fraud = _last_sum(state).sum(axis=2)
            total = by_fraud.sum(axis=1)
            state /= total[:, None, None, None]
            if fraud is not None:
                fraud[:, t] = by_fraud[:, 1] / total

    def _step(self, state: Floats, t: int) -> tuple[Floats, Floats]:
        """From the state after t - 1: P(f, z at t | past) [n, F, Z], and the state before item t.

        The first averages over what the time of event t would tell, the second knows it.
        """
        world, spec = self._world, self._world.spec
        if spec.payments is not None:
            begun = spec.payments.begins * state[:, 0] - spec.payments.ends * state[:, 1]
            state[:, 0] -= begun
            state[:, 1] += begun
        types = _last_sum(state)  # [n, F, U]
        if not self._timed:
            state *= self._either
            state += types[..., None] * ((1 - self._either) * world.theta[0])
            return state.sum(axis=2), state
        ahead = self._either * state.sum(axis=2)
        inside, between = odds(spec, self._past.times[:, t - 1])
        coming = (1 - spec.leave) * (1 - spec.stay) * inside
        coming = coming + spec.leave * (1 - spec.stay_start) * between  # [n, S]
        for s in range(spec.n_seasons):
            ahead += coming[:, s, None, None] * (types @ world.theta[s])
        stay = np.where(self._past.starts[:, t], spec.stay_start, spec.stay)
        state *= stay[:, None, None, None]
        types *= 1 - stay[:, None, None]
        theta = world.theta[0] if spec.n_seasons == 1 else world.theta[self._season[:, t]][:, None]
        state += types[..., None] * theta
        return ahead, state

    def _mixture(self, ahead: Floats, chance: float) -> Floats:
        """Weights of the repeat and of each row of the emission table [n, 1 + rows]."""
        usual = ahead[:, 0]
        weights = [chance * usual.sum(axis=1, keepdims=True), (1 - chance) * usual]
        if self._world.spec.payments is not None:
            weights.append(ahead[:, 1].sum(axis=1, keepdims=True))
        return np.concatenate(weights, axis=1)

    def _mark_likelihood(self) -> Floats | None:
        """Density of amount and type given the item's category and the fraud state [n, T, F]."""
        world, past = self._world, self._past
        if past.marks is None:
            return None
        category = world.category[past.items]
        mean = world.amount_mean[:, category]  # [F, n, T]
        sd = world.amount_sd[:, category]
        scaled = (np.log(past.marks.amounts) - mean) / sd
        # Without the factor 1 / (amount sqrt(2 pi)), which all states share.
        density = np.exp(-0.5 * scaled**2) / sd * world.kind[:, category, past.marks.kinds]
        return np.moveaxis(density, 0, -1)


def _last_sum(values: Floats) -> Floats:
    """Sum over the last, short axis; as a product it is several times faster."""
    return np.asarray(values @ np.ones(values.shape[-1]))
