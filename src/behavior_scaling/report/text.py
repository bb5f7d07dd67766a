"""How numbers, budgets, metrics and axes are worded, everywhere in the report.

Choices: plain Unicode instead of TeX, so that the same string serves figure, Markdown and PDF;
three significant digits, because no interval here is narrower; a value that is not identified is
never worded as a number.
"""

from __future__ import annotations

import math

from behavior_scaling.laws.results import Estimate

LOSS = "validation/restored/all/cross_entropy"
RECALL = "validation/restored/all/recall@10"

ARM_TITLES = {
    "": "",
    "clean": "candidate set fixed",
    "as_paper": "candidates grow with B",
    "uniform": "uniform added",
    "popular": "popular only",
    "full": "full softmax",
    "optimum": "at optimal D/N",
}

FLOORS = {
    "unigram": "popularity",
    "recency": "recency",
    "markov": "Markov",
    "item_knn": "item-kNN",
    "oracle": "oracle",
}
ORACLE = "oracle"  # of a synthetic world: beside the floors, and nothing that a model must beat

FLAGS = {
    "data-limited": "data-limited: a cell beside the optimum saw its events more than 4 times",
    "transform-dependent": "transform-dependent: the optimum moves with the metric's scale",
    "pre-bigram": "pre-bigram: the best model stays above the Markov floor",
}

CONVENTIONS = {  # how cost is counted: name in laws/*.json, words
    "nominal": "nominal C",
    "executed": "executed FLOPs",
    "6D(N_ctx+T*N_emb)": "6D(N_ctx + T·N_emb)",
    "6ND": "6ND",
}

METHODS = {  # of the critical batch
    "curve": "knee of the metric over B",
    "steps": "steps to a target loss",
    "noise": "gradient noise scale",
}

FORECASTS = {"surface": "joint surface", "last": "last budget again", "log_linear": "log-linear"}

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SLICES = {
    "all": "",
    "session_start": "session starts",
    "in_session": "in session",
    "unseen_user": "unseen users",
    "seen_user": "seen users",
    "cold_item": "cold items",
    "popular_head": "popular items",
    "popular_tail": "rare items",
}


def flops(budget: float) -> str:
    """A budget as a power of ten: 3e10 gives '3×10¹⁰'."""
    exponent = math.floor(math.log10(budget) + 1e-9)
    mantissa = f"{budget / 10**exponent:.3g}"
    power = "10" + str(exponent).translate(_SUPERSCRIPT)
    return power if mantissa == "1" else f"{mantissa}×{power}"


def budgets_text(budgets: tuple[float, float] | None) -> str:
    """'10¹⁰ to 10¹¹' or one budget, a dash for none."""
    if budgets is None:
        return "–"
    low, high = budgets
    return flops(low) if low == high else f"{flops(low)} to {flops(high)}"


def number(value: float) -> str:
    """Three significant digits: thousands grouped, very large and very small as powers of ten."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-3:
        return ("−" if value < 0 else "") + flops(float(f"{size:.3g}"))
    rounded = float(f"{value:.3g}")
    decimals = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}".replace("-", "−")


def compact(value: float) -> str:
    """A tick label: 20k, 1.5M, 0.05."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def count(value: float) -> str:
    """A whole number with grouped thousands."""
    return f"{round(value):,}"


def percent(value: float) -> str:
    """A fraction in percent, two significant digits."""
    return f"{float(f'{100 * value:.2g}'):g}%".replace("-", "−")


def three_decimals(value: float) -> str:
    """A loss or a ranking metric, whose differences stand in the third decimal."""
    return f"{value:.3f}".replace("-", "−")


def estimate_text(estimate: Estimate, unit: str = "") -> str:
    """'5,300 (4,100 to 6,900)', or the status where nothing is identified.

    Unit 'share' is printed in percent, 'metric' with three decimals, any other behind the value.
    An estimate without a value may still know a bound: 'below 1,600, vertex outside the grid'.
    """
    word = {"share": percent, "metric": three_decimals}.get(unit, number)
    low, high = (None if v is None else word(v) for v in (estimate.low, estimate.high))
    text = "" if estimate.value is None else word(estimate.value)
    if text and low and high:
        text += f" ({low} to {high})"
    elif not text and low and high:
        text = f"between {low} and {high}"
    elif not text and (low or high):
        text = f"above {low}" if low else f"below {high}"
    if text and unit not in ("", "share", "metric"):
        text += f" {unit}"
    if estimate.status == "converged":
        return text
    return f"{text}, {estimate.status}" if text else estimate.status


def metric_label(column: str) -> str:
    """The words for a metric column of the runs table: 'validation loss (nats per event)'.

    The score is named where it isn't the headline one ('restored'); the slice where it isn't
    'all'. A column of another form is worded as it is.
    """
    if column == "train_loss":
        return "training loss (nats)"
    parts = column.split("/")
    if len(parts) != 4:
        return column
    split, score, part, metric = parts
    words = "loss (nats per event)" if metric == "cross_entropy" else metric
    extra = [
        text for text in (_SLICES.get(part, part), "raw score" if score == "raw" else "") if text
    ]
    return f"{split} {words}" + (f", {', '.join(extra)}" if extra else "")


def short_metric(column: str) -> str:
    """A metric's shortest name: 'loss' for the headline loss, 'recall@10' for recall@10."""
    parts = column.split("/")
    name = parts[-1].replace("cross_entropy", "loss").replace("train_loss", "training loss")
    if len(parts) == 4:
        _, score, part, _ = parts
        name = f"raw {name}" if score == "raw" else name
        name = name if part == "all" else f"{name}, {_SLICES.get(part, part)}"
    return name


def optimum_symbol(axis: str, arm: str = "") -> str:
    """What the optimum is called; only the clean form of the batch axis knows a critical batch."""
    symbols = {"allocation": "N*", "share": "s*", "batch": "B*", "negatives": "K*"}
    return "B_crit" if (axis, arm) == ("batch", "clean") else symbols.get(axis, "optimum")


def slice_title(part: str) -> str:
    """'session starts' and the like; 'all positions' for all."""
    return _SLICES.get(part, part) or "all positions"


def floor_title(floor: str) -> str:
    """'Markov floor' and the like; the oracle is none."""
    return FLOORS[ORACLE] if floor == ORACLE else f"{FLOORS.get(floor, floor)} floor"


def axis_title(axis: str, arm: str = "") -> str:
    """'negatives, uniform added' and the like."""
    words = ARM_TITLES.get(arm, arm)
    return f"{axis}, {words}" if words else axis


def listing(parts: list[str], limit: int) -> str:
    """At most `limit` parts, then how many are left out."""
    shown = "; ".join(parts[:limit])
    return shown if len(parts) <= limit else f"{shown}; and {len(parts) - limit} more"


def join(names: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
