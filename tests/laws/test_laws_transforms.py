"""Metric scales: domain, inverse, and delta-method variance against simulation."""

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.transforms import (
    COMPLEMENT,
    IDENTITY,
    LOG,
    LOG_COMPLEMENT,
    NEGATED,
    NEGATIVE_LOGIT,
    Transform,
    is_maximised,
    transform_for,
)

ALL = [IDENTITY, LOG, NEGATIVE_LOGIT, LOG_COMPLEMENT, NEGATED, COMPLEMENT]


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.name)
def test_inverse_returns_the_metric(transform: Transform) -> None:
    m = np.array([0.01, 0.2, 0.5, 0.9])
    np.testing.assert_allclose(transform.inverse(transform.forward(m)), m, rtol=1e-12)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.name)
def test_derivative_matches_finite_differences(transform: Transform) -> None:
    m, h = np.array([0.05, 0.3, 0.7]), 1e-6
    numeric = (transform.forward(m + h) - transform.forward(m - h)) / (2 * h)
    np.testing.assert_allclose(transform.derivative(m), numeric, rtol=1e-6)


def test_hand_worked_values() -> None:
    m = np.array([0.2])
    assert NEGATIVE_LOGIT.forward(m)[0] == pytest.approx(np.log(4))  # -log(.2 / .8)
    assert LOG_COMPLEMENT.forward(m)[0] == pytest.approx(np.log(0.8))


@pytest.mark.parametrize("name", ["recall@10", "ndcg@10", "mrr@5", "accuracy"])
def test_maximised_metrics_point_down(name: str) -> None:
    scale = transform_for(f"validation/restored/all/{name}")
    low, high = scale.forward(np.array([0.1, 0.2]))
    assert is_maximised(name)
    assert high < low


def test_losses_are_fitted_as_they_are() -> None:
    assert transform_for("validation/raw/all/cross_entropy") is IDENTITY
    assert transform_for("train_loss") is IDENTITY


def test_coverage_has_no_law() -> None:
    with pytest.raises(LawsError, match="coverage@10"):
        transform_for("validation/restored/all/coverage@10")


@pytest.mark.parametrize("transform", [NEGATIVE_LOGIT, LOG_COMPLEMENT], ids=lambda t: t.name)
def test_delta_variance_agrees_with_simulation(transform: Transform) -> None:
    draws = 0.15 + 0.003 * np.random.default_rng(0).standard_normal(200_000)
    simulated = float(np.var(transform.forward(draws)))
    delta = float(transform.variance(np.array([0.15]), np.array([0.003**2]))[0])
    assert delta == pytest.approx(simulated, rel=0.02)


def test_domain_excludes_ends_and_nan() -> None:
    values = np.array([0.0, 1e-9, 0.5, 1.0, np.nan])
    assert NEGATIVE_LOGIT.valid(values).tolist() == [False, True, True, False, False]
    assert LOG_COMPLEMENT.valid(values).tolist() == [True, True, True, False, False]
