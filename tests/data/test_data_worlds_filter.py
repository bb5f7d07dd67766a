"""The forward filter against sums over every hidden path, and against what is drawn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import chi2

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.worlds.filter import Information, forward
from behavior_scaling.data.worlds.generate import Histories, block
from behavior_scaling.data.worlds.oracle import probabilities
from behavior_scaling.data.worlds.parameters import Payments, World, WorldSpec, build
from behavior_scaling.data.worlds.seasons import odds, season

CONTEXT = 6  # histories of at most four events
LONGER = 12  # of at most seven
PLAIN = WorldSpec(
    "tiny", seed=5, items=4, types=2, interests=2, features=2, categories=2, taste=1.0,
    stay=0.9, stay_start=0.3, repeat=0.35, memory=2, leave=0.4,
)  # fmt: skip
DRIFTING = replace(
    PLAIN, seasons=(0, 1), within=20_000, silence=30_000, between=50_000.0, leave=0.5
)
VIVID = replace(PLAIN, seed=10, zipf=0.0, kappa=4.0)  # items tell the interest
PAYING = replace(PLAIN, payments=Payments(begins=0.3, ends=0.4), kappa=1.0)
ALL = replace(DRIFTING, payments=PAYING.payments)

Marks = tuple[float, int]


@cache
def gap_odds(spec: WorldSpec, start: bool, time: int) -> dict[int, float]:
    """P(season of the next event) by summing over every gap in seconds."""
    if start:
        x = np.arange(1, int(40 * spec.between))
        p = np.exp(-(x - 1) / spec.between) - np.exp(-x / spec.between)
        gaps = spec.silence + x
    else:
        gaps = np.arange(1, spec.within + 1)
        p = np.full(len(gaps), 1 / spec.within)
    day = ((time + gaps) // 86_400 + 3) % len(spec.seasons)
    return {s: float(p[np.array(spec.seasons)[day] == s].sum()) for s in set(spec.seasons)}


def mark_density(world: World, item: int, fraud: int, mark: Marks) -> float:
    """Density of an amount and type of payment."""
    c = world.category[item]
    mean, sd = world.amount_mean[fraud, c], world.amount_sd[fraud, c]
    scaled = (math.log(mark[0]) - mean) / sd
    density = math.exp(-0.5 * scaled**2) / (sd * math.sqrt(2 * math.pi) * mark[0])
    return float(density * world.kind[fraud, c, mark[1]])


def joint(
    world: World,
    items: list[int],
    flags: list[list[tuple[bool, int, float]]],
    marks: list[Marks | None],
    last_fraud: int | None = None,
) -> float:
    """p of some items and marks: a sum over types, interests, fraud states, flags and repeats.

    `flags` lists for each event what (session start, season) may be, with its probability.
    """
    spec, total, n = world.spec, 0.0, len(items)
    states = (0, 1) if spec.payments is not None else (0,)
    for fraud in itertools.product(states, repeat=n):
        if last_fraud is not None and fraud[-1] != last_fraud:
            continue
        for u, zs in itertools.product(range(2), itertools.product(range(2), repeat=n)):
            for case in itertools.product(*flags):
                p = world.pi[u] * world.theta[case[0][1], u, zs[0]]
                for t, (y, z, f) in enumerate(zip(items, zs, fraud, strict=True)):
                    start, s, weight = case[t]
                    p *= weight
                    if t:
                        rho = spec.stay_start if start else spec.stay
                        p *= rho * (z == zs[t - 1]) + (1 - rho) * world.theta[s, u, z]
                    if spec.payments is not None:
                        a, b = spec.payments.begins, spec.payments.ends
                        stationary = [b / (a + b), a / (a + b)]
                        chain = [[1 - a, a], [b, 1 - b]]
                        p *= chain[fraud[t - 1]][f] if t else stationary[f]
                    if f:
                        p *= world.emission[2, y]
                    else:
                        before = items[max(t - spec.memory, 0) : t]
                        c = spec.repeat if t else 0.0
                        share = before.count(y) / len(before) if before else 0.0
                        p *= c * share + (1 - c) * world.emission[z, y]
                    if marks[t] is not None:
                        p *= mark_density(world, y, f, marks[t])
                total += p
    return float(total)


def cases(
    world: World, histories: Histories, row: int, t: int, information: Information, known: int
) -> list[list[tuple[bool, int, float]]]:
    """What (start, season) the events 0..t may have; those below `known` are known."""
    spec = world.spec
    times = histories.times[row]
    result = [[(True, int(season(spec, times[0])), 1.0)]]
    for k in range(1, t + 1):
        chance = {False: 1 - spec.leave, True: spec.leave}
        if information == "events" and k < known:
            start = bool(histories.starts[row, k])
            result.append([(start, int(season(spec, times[k])), chance[start])])
            continue
        result.append([
            (start, s, chance[start] * p)
            for start in (False, True)
            for s, p in (
                gap_odds(spec, start, int(times[k - 1])) if spec.n_seasons > 1 else {0: 1.0}
            ).items()
        ])  # fmt: skip
    return result


def seen(histories: Histories, row: int, t: int, information: Information) -> list[Marks | None]:
    """Amounts and types of the events before t; None for t."""
    if histories.marks is None or information == "items":
        return [None] * (t + 1)
    marks = histories.marks
    past = [(float(marks.amounts[row, k]), int(marks.kinds[row, k])) for k in range(t)]
    return [*past, None]


@pytest.mark.parametrize(
    ("spec", "information"),
    [
        (PLAIN, "items"),
        (PLAIN, "events"),
        (DRIFTING, "events"),
        (PAYING, "items"),
        (PAYING, "events"),
        (ALL, "events"),
    ],
)
def test_equals_the_sum_over_all_hidden_paths(spec: WorldSpec, information: Information) -> None:
    world = build(spec)
    histories = block(world, 3, CONTEXT, 0).users(slice(0, 2))
    found = forward(world, histories, information)

    for row, t in itertools.product(range(2), range(1, 4)):
        items = histories.items[row, : t + 1].tolist()
        marks = seen(histories, row, t, information)
        past = cases(world, histories, row, t, information, known=t)
        whole = joint(world, items, past, marks)
        before = joint(world, items[:-1], past[:-1], marks[:-1])
        assert found.logp[row, t] == pytest.approx(np.log(whole / before), abs=1e-12)
        user, place = np.array([row]), np.array([t])
        p = probabilities(world, histories, found.mixture[user, place], user, place)[0]
        assert p.sum() == pytest.approx(1, abs=1e-12)
        other = (items[-1] + 1) % 4
        whole = joint(world, [*items[:-1], other], past, marks)
        assert p[other] == pytest.approx(whole / before, abs=1e-12)


@pytest.mark.parametrize("spec", [PAYING, ALL])
def test_fraud_given_the_present_event(spec: WorldSpec) -> None:
    world = build(spec)
    histories = block(world, 3, CONTEXT, 0).users(slice(0, 3))
    found = forward(world, histories, "events")
    assert found.fraud is not None

    for row, t in itertools.product(range(3), range(4)):
        items = histories.items[row, : t + 1].tolist()
        marks = seen(histories, row, t + 1, "events")[:-1]
        past = cases(world, histories, row, t, "events", known=t + 1)
        on = joint(world, items, past, marks, last_fraud=1)
        assert found.fraud[row, t] == pytest.approx(
            on / joint(world, items, past, marks), abs=1e-12
        )


def test_items_with_drift_are_refused() -> None:
    world = build(DRIFTING)

    with pytest.raises(DataError, match="no exact filter; the entropy given 'events' is a lower"):
        forward(world, block(world, 0, CONTEXT, 0).users(slice(0, 1)), "items")


def test_the_season_after_a_gap() -> None:
    spec = replace(DRIFTING, seasons=(0, 0, 1, 0, 2), between=60_000.0)
    times = 1_641_168_000 + np.array([0, 40_000, 86_399, 86_400, 431_999])

    inside, between = odds(spec, times)

    for row, time in enumerate(times.tolist()):
        for start, found in ((False, inside), (True, between)):
            expected = gap_odds(spec, start, time)
            assert found[row] == pytest.approx([expected[s] for s in range(3)], abs=1e-12)


def test_seasons_begin_on_a_monday() -> None:
    spec = replace(PLAIN, seasons=(0, 0, 0, 0, 0, 1, 1))
    days = np.array(
        ["2022-01-03", "2022-01-07T23:59:59", "2022-01-08", "2022-01-09T23:59:59", "2022-01-10"],
        dtype="datetime64[s]",
    )

    assert season(spec, days.astype(np.int64)).tolist() == [0, 0, 1, 1, 0]


def groups(histories: Histories, t: int, information: Information) -> Iterator[np.ndarray]:
    """Users by what their reader knows: the last item, and the last start or a repeat."""
    last, second = histories.items[:, t - 1], histories.items[:, max(t - 2, 0)]
    mark = last == second if information == "items" else histories.starts[:, t - 1]
    for item, flag in itertools.product(range(4), (False, True)):
        yield np.flatnonzero((last == item) & (mark == flag))


def misfit(world: World, histories: Histories, information: Information) -> float:
    """p-value of chi-square: what came next against the predictive, within groups of pasts."""
    found = forward(world, histories, information)
    statistic, freedom = 0.0, 0
    for t in range(1, histories.items.shape[1]):
        for user in groups(histories, t, information):
            if len(user) < 200:
                continue
            place = np.full(len(user), t)
            p = probabilities(world, histories, found.mixture[user, t], user, place)
            came = np.eye(4)[histories.items[user, t]]
            residual = (came - p).sum(axis=0)
            covariance = np.diag(p.sum(axis=0)) - p.T @ p
            statistic += residual @ np.linalg.pinv(covariance) @ residual
            freedom += 3
    return float(chi2.sf(statistic, freedom))


@pytest.mark.parametrize("information", ["items", "events"])
@pytest.mark.parametrize("spec", [PLAIN, VIVID, PAYING])
def test_what_is_drawn_follows_the_predictive(spec: WorldSpec, information: Information) -> None:
    world = build(spec)
    histories = block(world, 1, LONGER, 0)

    assert 1e-3 < misfit(world, histories, information) < 0.999


def test_what_is_drawn_with_drift_and_payments_follows_the_predictive() -> None:
    world = build(ALL)
    histories = block(world, 1, LONGER, 0)

    assert 1e-3 < misfit(world, histories, "events") < 0.999


@pytest.mark.parametrize(
    "wrong",
    [{"stay": 0.7}, {"repeat": 0.3}, {"memory": 3}, {"stay_start": 0.6}],
    ids=lambda change: next(iter(change)),
)
def test_a_wrong_parameter_is_seen(wrong: dict[str, float]) -> None:
    world = build(VIVID)
    histories = block(world, 1, LONGER, 0)
    other = replace(world, spec=replace(world.spec, **wrong))

    assert misfit(other, histories, "events") < 1e-6


def test_amounts_tell_fraud() -> None:
    # The same histories: amounts and types make the posterior of fraud sharper.
    world = build(PAYING)
    histories = block(world, 1, LONGER, 0)
    assert histories.marks is not None
    label, present = histories.marks.fraud, histories.present
    loss = {}
    for information in ("items", "events"):
        posterior = forward(world, histories, information).fraud
        assert posterior is not None
        loss[information] = -np.log(np.where(label, posterior, 1 - posterior))[present].mean()

    assert loss["events"] < 0.8 * loss["items"]
