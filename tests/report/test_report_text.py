"""How numbers are worded: against hand-written strings."""

import pytest

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.text import (
    budgets_text,
    compact,
    estimate_text,
    flops,
    listing,
    metric_label,
    number,
    optimum_symbol,
    percent,
    short_metric,
)
from behavior_scaling.report.tidy import escape


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e10, "10¹⁰"), (3e10, "3×10¹⁰"), (1e-5, "10⁻⁵"), (2.5e11, "2.5×10¹¹"), (1e11, "10¹¹")],
)
def test_flops(value: float, text: str) -> None:
    assert flops(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (6620.2, "6,620"), (0.5204, "0.520"), (-0.138, "−0.138"), (12.94, "12.9"),
        (999.6, "1,000"), (3.97e-4, "3.97×10⁻⁴"), (-2e8, "−2×10⁸"), (1.0, "1.00"),
    ],
)  # fmt: skip
def test_number_has_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_percent_and_ticks() -> None:
    assert [percent(v) for v in (0.02, 0.0374, 0.5, 0)] == ["2%", "3.7%", "50%", "0%"]
    assert [compact(v) for v in (900, 2e4, 1.5e6, 0.05)] == ["900", "20k", "1.5M", "0.05"]


def test_estimate_never_words_an_unidentified_value_as_a_number() -> None:
    assert estimate_text(Estimate(5300, 4100, 6900, "converged")) == "5,300 (4,100 to 6,900)"
    assert estimate_text(Estimate(0.02, 0.01, 0.04, "converged"), "share") == "2% (1% to 4%)"
    assert estimate_text(Estimate(16, 8, 32, "converged"), "items") == "16.0 (8.00 to 32.0) items"
    assert estimate_text(Estimate(6.6281, 6.61, 6.64, "converged"), "metric") == (
        "6.628 (6.610 to 6.640)"
    )
    assert estimate_text(Estimate(None, None, None, "not identified")) == "not identified"
    assert estimate_text(Estimate(None, None, 1600, "vertex outside the grid")) == (
        "below 1,600, vertex outside the grid"
    )
    assert estimate_text(Estimate(None, 32, None, "at bound")) == "above 32.0, at bound"
    assert estimate_text(Estimate(32, 8, None, "at bound")) == "32.0, at bound"


def test_metric_names() -> None:
    assert metric_label("validation/restored/all/cross_entropy") == (
        "validation loss (nats per event)"
    )
    assert metric_label("test/raw/session_start/recall@10") == (
        "test recall@10, session starts, raw score"
    )
    assert short_metric("validation/raw/all/cross_entropy") == "raw loss"
    assert short_metric("validation/restored/session_start/ndcg@10") == "ndcg@10, session starts"
    assert short_metric("train_loss") == "training loss"


def test_only_the_clean_form_has_a_critical_batch() -> None:
    assert optimum_symbol("batch", "clean") == "B_crit"
    assert optimum_symbol("batch", "as_paper") == "B*"


def test_listing_counts_what_it_leaves_out() -> None:
    assert listing(["a", "b"], 2) == "a; b"
    assert listing(["a", "b", "c", "d"], 2) == "a; b; and 2 more"


def test_budgets_text() -> None:
    assert budgets_text(None) == "–"
    assert budgets_text((1e15, 1e15)) == "10¹⁵"
    assert budgets_text((1e15, 1e19)) == "10¹⁵ to 10¹⁹"


def test_escaped_text_survives_pandoc() -> None:
    pypandoc = pytest.importorskip("pypandoc")
    text = "N* and D* ∝ C^a, C^b; B_crit_x | <b> 3~4~5 `c` $d$"
    plain = pypandoc.convert_text(escape(text), "plain", "markdown", extra_args=["--wrap=none"])
    assert plain.strip() == text
