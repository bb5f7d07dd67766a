"""The main figure: the four axes by validation loss, each with what the paper reports, at a glance.

Choices: one panel an axis, loss alone (the other metrics have the axis' own figure); the arm shown
is the one that answers the claims; under a title stand our optimum by the axis alone and by the
joint surface, or in words why there is none, and the paper's value with the verdict on it. That
value is drawn where the axis reaches it, else an arrow points to it; the paper's growth of N* is
drawn through the middle of our vertices, because only the exponent can be compared across budgets.
A panel names its source where it is not the study's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from behavior_scaling.laws.results import AxisFit, CurveFit
from behavior_scaling.report import style, tidy
from behavior_scaling.report.claims import judge
from behavior_scaling.report.claims_file import load_claims
from behavior_scaling.report.figures import frames, panels
from behavior_scaling.report.found import ARM_ORDER
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.numbers_joint import optima_text
from behavior_scaling.report.sheet import Panel, Prose, compose
from behavior_scaling.report.text import (
    ARM_TITLES,
    LOSS,
    compact,
    estimate_text,
    flops,
    join,
    metric_label,
    optimum_symbol,
    percent,
)

READING = (
    "A mark is a cell's mean over seeds; hollow: it saw each event more than 4 times. Tick with a "
    "bar: the optimum with its 95% interval, drawn only where it is identified; plus with a dotted "
    "bar: that of the joint surface. Dashed: rules without training on the same positions. Star: a "
    "control outside the fits. In colour: what the paper reports, with its mark ([A] abstract, [2] "
    "two readers, [1] one reader, [i] inferred), and the verdict by rule."
)
PATH = (3, (1.5, 1.5))  # dashes of the paper's growth


@dataclass(frozen=True)
class View:
    """One panel: an axis, its words, and the claim that it is held against."""

    axis: str
    title: str
    x_label: str
    claim: str
    exponents: tuple[str, ...]
    unit: str = ""
    says: str = ""  # in front of the paper's value


VIEWS = (
    View("allocation", "Model size", "parameters N", "allocation_n", ("N",),
         says="N* ∝ C^a, "),
    View("share", "Embedder share", "embedder share s = N_emb / N", "share_optimum", ("share",),
         "share"),
    View("batch", "Batch size", "batch B (sequences a step)", "batch_loss", ("B_crit", "batch")),
    View("negatives", "Negatives", "distinct candidates a step", "negatives_loss",
         ("negatives", "candidates", "K")),
)  # fmt: skip


def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """The figure and the tidy table that it draws."""
    verdicts = {item.claim.id: item.verdict.name for item in judge(results, load_claims())}
    own = {view.axis: results.for_axis(view.axis) for view in VIEWS}
    rows = [row for view in VIEWS for row in _rows(own[view.axis], view, verdicts[view.claim])]
    table = tidy.round_significant(frames.frame(rows, words=("source",)))
    budgets = sorted({budget for found in own.values() for budget in found.budgets})
    shown = []
    for letter, view in zip("abcd", VIEWS, strict=True):
        shown.append(_panel(table, view, budgets, letter, results.other_source(view.axis)))
    words = (f"Study {results.study}, {results.source}. {READING}",)
    prose = Prose("How to read", tuple((text, style.INK) for text in words))
    return compose([shown[:2], shown[2:], [prose]]), table


def _panel(
    table: pd.DataFrame, view: View, budgets: list[float], letter: str, source: str
) -> Panel:
    rows = table[table["panel"] == view.axis]
    arms = [arm for arm in rows["arm"].unique() if arm]
    title = f"{letter}  {view.title}"
    title += "".join(f", {ARM_TITLES.get(arm, arm)}" for arm in arms)
    title += f" ({source})" if source else ""
    said = rows[rows["kind"].isin(["note", "paper"])]
    lines = tuple(
        (str(row["label"]), style.ACCENT if row["kind"] == "paper" else style.INK)
        for row in said.to_dict("records")
    )
    return Panel(title, partial(_fill, rows=rows, view=view, budgets=budgets), lines, height=1.75)


def _fill(axes: Axes, rows: pd.DataFrame, view: View, budgets: list[float]) -> None:
    curves = rows[~rows["kind"].isin(["paper", "paper growth"])]
    panels.draw_curves(axes, curves, budgets, view.unit)
    axes.set_xlabel(view.x_label)
    axes.set_ylabel(metric_label(LOSS))
    growth = rows[rows["kind"] == "paper growth"].sort_values("x")
    axes.plot(growth["x"], growth["y"], color=style.ACCENT, lw=1.3, ls=PATH, zorder=4.5,
              gid="paper growth")  # fmt: skip
    if rows["kind"].isin(["cell", "control"]).any():
        for row in rows[rows["kind"] == "paper"].to_dict("records"):
            _mark_paper(axes, row["x"], row["x_low"], row["x_high"], view.unit)


def _mark_paper(axes: Axes, value: float, low: float, high: float, unit: str) -> None:
    """A band or a line at the paper's value; beside the ticks an arrow where the axis ends."""
    ends = (low, high) if low == low and high == high else (value, value)
    if ends[0] != ends[0]:
        return
    left, right = axes.get_xlim()
    if ends[0] <= right and ends[1] >= left:
        inside = (max(left, ends[0]), min(right, ends[1]))
        if ends[0] < ends[1]:
            axes.axvspan(*inside, color=style.ACCENT, alpha=0.14, lw=0, zorder=0, gid="paper")
        if value == value and left <= value <= right:
            axes.axvline(value, color=style.ACCENT, lw=1.2, zorder=1, gid="paper")
        axes.set_xlim(left, right)
        return
    beyond = ends[0] > right
    number = ends[0] if beyond else ends[1]
    word = percent(number) if unit == "share" else compact(number)
    axes.text(
        1.03 if beyond else -0.03, -0.065, f"paper {word} →" if beyond else f"← paper {word}",
        transform=axes.transAxes, ha="left" if beyond else "right", va="center", fontsize=6.8,
        color=style.ACCENT, gid="paper",
    )  # fmt: skip


def _rows(results: Results, view: View, verdict: str) -> list[frames.Row]:
    arm = next((arm for arm in ARM_ORDER if arm in results.arms(view.axis)), "")
    found = results.find(view.axis, LOSS, arm)
    base = {"panel": view.axis, "metric": LOSS, "source": results.source}
    kinds = ("cell", "control", "run", "fit", "vertex", "floor", "joint")
    rows = frames.curve_rows(results, view.axis, arm, LOSS) if results.arms(view.axis) else []
    rows += frames.joint_rows(results, view.axis, arm, LOSS)
    rows = [row | base | {"arm": arm} for row in rows if row["kind"] in kinds]
    words = _words(found.fit, view, arm) if found else [_nothing(results, view)]
    rows += [
        base | {"kind": "note", "arm": arm, "label": text}
        for text in [*words, *_joint_words(results, view, arm)]
    ]
    paper = frames.paper_row(view.axis, view.claim, view.says)
    claim = load_claims().claim(view.claim).paper
    paper["label"] = f"{paper['label']}; verdict: {verdict}"
    if view.axis == "allocation":
        fit = found.fit if found else None
        rows += [base | {"arm": arm} | row for row in _growth(fit, claim.value or 0.0)]
    else:
        paper |= {"x": claim.value, "x_low": claim.low, "x_high": claim.high}
    return [*rows, base | {"arm": arm} | paper]


def _words(fit: AxisFit, view: View, arm: str) -> list[str]:
    """The exponent where there is one; the optima where they are not too many; statuses."""
    symbol = optimum_symbol(view.axis, arm)
    slopes = [fit.exponents[name] for name in view.exponents if name in fit.exponents]
    fitted = [slope for slope in slopes if slope.status == "converged"]
    known = [curve for curve in fit.curves if curve.optimum.status == "converged"]
    lines = [f"{symbol} ∝ C^{estimate_text(slope)}" for slope in fitted]
    if known and not fitted:
        values = [f"{estimate_text(c.optimum, view.unit)} at {flops(c.budget)}" for c in known]
        lines.append(f"{symbol} = {'; '.join(values)}")
    groups: dict[str, list[CurveFit]] = {}
    for curve in fit.curves:
        if curve.optimum.status != "converged":
            groups.setdefault(_why(curve), []).append(curve)
    for why, curves in groups.items():
        lines.append(f"{symbol} {why} at {join([flops(curve.budget) for curve in curves])}")
    return lines or [f"no {symbol} was fitted"]


def _joint_words(results: Results, view: View, arm: str) -> list[str]:
    """What the joint surface says of the same, where it was fitted and covers the axis."""
    surface = results.surface(LOSS)
    if surface is None or not surface.fitted or not surface.optimum(view.axis, arm):
        return []
    slope = surface.exponent(view.axis, arm, "optimum")
    if slope is not None and slope.exponent.status == "converged":
        words = f"{optimum_symbol(view.axis, arm)} ∝ C^{estimate_text(slope.exponent)}"
    else:
        words = optima_text(surface, view.axis, arm)
    return [f"joint surface: {words}"]


def _why(curve: CurveFit) -> str:
    """The status and the first clause of its reason: 'at bound (falls up to the largest x)'."""
    reason = curve.optimum.reason.split(";")[0].removeprefix("monotone: ")
    plain = reason and not reason.startswith("AICc")
    return f"{curve.optimum.status} ({reason})" if plain else curve.optimum.status


def _nothing(results: Results, view: View) -> str:
    return "nothing was fitted" if results.arms(view.axis) else "axis not run in this study"


def _growth(fit: AxisFit | None, exponent: float) -> list[frames.Row]:
    """N ∝ C^exponent through the geometric middle of the identified vertices, at their values."""
    known = [
        (curve.budget, curve.optimum.value, curve.best.value)
        for curve in (fit.curves if fit else ())
        if curve.optimum.status == "converged" and curve.optimum.value and curve.best.value
    ]
    if len(known) < 2:
        return []
    middle = sum(math.log(n) - exponent * math.log(c) for c, n, _ in known) / len(known)
    return [
        {"kind": "paper growth", "budget": c, "x": math.exp(middle) * c**exponent, "y": best}
        for c, _, best in known
    ]
