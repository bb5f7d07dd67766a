"""What a world is: its parameters, and the distributions that they and a seed fix.

Choices: the distributions are drawn once from the world's own seed, so a name is a world for ever;
an item's feature vector f_i is the mean of its category's centre, its region's where there are
regions, and a spread of its own, scaled to length sqrt(its dimension); v_z has length 1, so kappa
is about the standard deviation of the log-odds that an interest adds to popularity, and no item
outweighs an interest by being extreme; popularity is independent of f_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Payments:
    """Amounts, payment types and fraud: a state that is on or off and follows a Markov chain."""

    begins: float = 0.001  # P(on | off), an event
    ends: float = 0.3  # P(off | on)
    types: tuple[str, ...] = ("chip", "contactless", "online")
    shift: float = 1.0  # added to the mean of the log amount while fraud is on
    spread: float = 0.9  # standard deviation of the log amount while fraud is on

    @property
    def rate(self) -> float:
        """Share of events with fraud: the chain's stationary probability of on."""
        return self.begins / (self.begins + self.ends)


@dataclass(frozen=True)
class WorldSpec:
    """The parameters of a world; definitions.md, 'Worlds', has the symbols.

    Times are whole seconds. A gap inside a session is uniform on 1 .. within; one between
    sessions is silence + ceil(x), x exponential with mean `between`. With within <= silence <=
    a day a gap tells its kind, and the season after it has a closed form.
    """

    name: str
    seed: int = 0
    items: int = 6_000  # V
    types: int = 8  # U
    interests: int = 16  # Z
    features: int = 6  # length of f_i
    categories: int = 32
    regions: int = 0
    zipf: float = 1.0  # popularity of the item of rank r: r^-zipf
    kappa: float = 2.0
    spread: float = 1.0  # of f_i about its centre, in standard deviations of the centres
    noise: float = 0.1  # standard deviation of the error of the columns of the items' table
    taste: float = 0.3  # concentration of the Dirichlet that theta_u is drawn from
    stay: float = 0.95  # rho inside a session
    stay_start: float = 0.5  # rho at a session's start
    repeat: float = 0.2  # c
    memory: int = 5  # m
    leave: float = 0.25  # h, chance that the next event opens a session
    within: int = 600
    silence: int = 3_600
    between: float = 3 * 86_400.0
    days: int = 365  # over which users begin, uniformly
    seasons: tuple[int, ...] = (0,)  # season of each day of the cycle, from a Monday on
    payments: Payments | None = None

    @property
    def n_seasons(self) -> int:
        """S; theta drifts where there are more than one."""
        return max(self.seasons) + 1


@dataclass(frozen=True, eq=False)
class World:
    """A world's distributions; C = categories, K = types of payment, F = 1, or 2: fraud off, on.

    Two are equal if they are the same object.
    """

    spec: WorldSpec
    pi: Floats  # [U]
    theta: Floats  # [S, U, Z]
    emission: Floats  # [Z, V] e_z; with payments [Z + 1, V], the last row that of fraud
    features: Floats  # [V, features] f_i
    popularity: Floats  # [V] log of the Zipf weight, standardised
    category: Ints  # [V]
    region: Ints  # [V]
    amount_mean: Floats  # [F, C] of the log amount; [F, 0] without payments
    amount_sd: Floats  # [F, C]
    kind: Floats  # [F, C, K] P(type of payment | category, fraud)

    @property
    def fraud_start(self) -> Floats:
        """Stationary probabilities of the fraud state [F]."""
        payments = self.spec.payments
        return np.array([1.0]) if payments is None else np.array([1 - payments.rate, payments.rate])


@cache
def build(spec: WorldSpec) -> World:
    """Draw a world's distributions from its seed."""
    rng = np.random.default_rng(spec.seed)
    category = rng.integers(0, spec.categories, spec.items)
    region = rng.integers(0, max(spec.regions, 1), spec.items)
    features = rng.standard_normal((spec.categories, spec.features))[category]
    if spec.regions:
        features = features + rng.standard_normal((spec.regions, spec.features))[region]
    features = features + spec.spread * rng.standard_normal((spec.items, spec.features))
    features *= np.sqrt(spec.features) / np.linalg.norm(features, axis=1, keepdims=True)
    weight = -spec.zipf * np.log(1.0 + rng.permutation(spec.items))
    rows = spec.interests + (spec.payments is not None)
    directions = rng.standard_normal((rows, spec.features))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    tilt = weight + spec.kappa * directions @ features.T
    emission = np.exp(tilt - tilt.max(axis=1, keepdims=True))
    tastes = rng.dirichlet(np.full(spec.interests, spec.taste), size=(spec.n_seasons, spec.types))
    return World(
        spec=spec,
        pi=rng.dirichlet(np.full(spec.types, 5.0)),
        theta=tastes,
        emission=emission / emission.sum(axis=1, keepdims=True),
        features=features,
        popularity=(weight - weight.mean()) / max(weight.std(), 1e-12),
        category=category,
        region=region,
        **_payments(spec, rng),
    )


def _payments(spec: WorldSpec, rng: np.random.Generator) -> dict[str, Floats]:
    """The distributions of the fraud state, amounts and payment types."""
    payments = spec.payments
    if payments is None:
        none = np.empty((1, 0))
        return {
            "amount_mean": none,
            "amount_sd": none,
            "kind": np.empty((1, 0, 0)),
        }
    mean = rng.normal(3.0, 0.8, spec.categories)
    usual = rng.uniform(0.3, 0.6, spec.categories)
    kinds = rng.dirichlet(np.full(len(payments.types), 2.0), size=spec.categories)
    fraud = np.full_like(kinds, 0.1)
    fraud[:, -1] = 1 - 0.1 * (len(payments.types) - 1)
    return {
        "amount_mean": np.stack([mean, mean + payments.shift]),
        "amount_sd": np.stack([usual, np.full_like(usual, payments.spread)]),
        "kind": np.stack([kinds, fraud]),
    }
