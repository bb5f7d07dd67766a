"""The numbers of the joint surface, the critical batch, the backtest and choosing by loss.

Choices: each estimate is an entry with the place it was read from; beside them stand sentences over
budgets, for texts that cannot know which budgets a study has; a law that was not fitted keeps its
sentence, which then says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from behavior_scaling.laws.results import Estimate
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.joint import Backtest, Critical, Origin, Surface
from behavior_scaling.report.number import HEADLINE, Number, Numbers, budget_slug, entry, slug
from behavior_scaling.report.parameters import PARAMETERS, PARTS
from behavior_scaling.report.text import (
    ARM_TITLES,
    LOSS,
    METHODS,
    RECALL,
    axis_title,
    count,
    estimate_text,
    flops,
    join,
    listing,
    number,
    optimum_symbol,
    percent,
    short_metric,
)

KEYS = {"nominal": "nominal", "executed": "executed", "6D(N_ctx+T*N_emb)": "six_dnt",
        "6ND": "six_nd"}  # fmt: skip
AXES = ("allocation", "share", "negatives")
NONE = "no joint surface was fitted"
SURFACE, CRITICAL, BACKTEST = "laws/surface.json", "laws/critical_batch.json", "laws/backtest.json"


def joint_numbers(results: Results) -> Numbers:
    """All of them."""
    entries: Numbers = {}
    for surface in results.surfaces:
        entries |= dict(_of_surface(surface))
    for name, metric in HEADLINE.items():
        entries |= _surface_words(results, name, metric)
    shown = results.shown
    return entries | _critical(shown) | _backtest(shown) | _choice(shown)


def _number(value: Estimate, origin: Origin, unit: str = "") -> Number:
    return entry(value.value, estimate_text(value, unit), origin.file, f"{origin.key}.value")


def _of_surface(surface: Surface) -> Iterator[tuple[str, Number]]:
    head = f"surface.{slug(surface.metric)}"
    for name, (_, key) in PARAMETERS.items():
        place = surface.origin.at(f"parameters.{name}")
        yield f"{head}.{key}", _number(surface.parameters[name], place)
    for one in surface.optima:
        unit = "share" if one.axis == "share" else ""
        middle = ".".join(part for part in (one.axis, one.arm) if part)
        key = f"{head}.{middle}.{KEYS[one.convention]}.{budget_slug(one.budget)}"
        yield f"{key}.optimum", _number(one.optimum, one.origin.at("optimum"), unit)
        yield f"{key}.best", _number(one.best, one.origin.at("best"), "metric")
        for name, value in one.derived.items():
            yield f"{key}.{slug(name)}", _number(value, one.origin.at(f"derived.{name}"))
    for slope in surface.exponents:
        middle = ".".join(part for part in (slope.axis, slope.arm) if part)
        key = f"{head}.{middle}.{KEYS[slope.convention]}.exponent_{slug(slope.of)}"
        yield key, _number(slope.exponent, slope.origin)


def _surface_words(results: Results, name: str, metric: str) -> Numbers:
    """Sentences: what was fitted, the parts, and each axis' optima by convention."""
    found = results.surface(metric)
    head = f"joint.{name}"
    if found is None:
        keys = ("status", "kept", "left", *AXES, "exponent_n", "exponent_d")
        return {f"{head}.{key}": entry(None, NONE, SURFACE, "surface") for key in keys}
    origin = found.origin
    said = f"{count(found.cells)} cells of {count(found.runs)} runs; {found.status}"
    said += f" ({found.reason})" if found.reason else ""
    kept = [PARTS[part] for part in PARTS if part in found.parts and found.parts[part].kept]
    left = [words for part, words in PARTS.items() if words not in kept]
    entries = {
        "status": entry(found.status, said, origin.file, f"{origin.key}.status"),
        "kept": entry(len(kept), join(kept) or "none", origin.file, f"{origin.key}.parts"),
        "left": entry(len(left), join(left) or "none", origin.file, f"{origin.key}.parts"),
    }
    for axis in AXES:
        own = results.for_axis(axis)
        by = own.surface(metric)
        texts = {arm: optima_text(by, axis, arm) if by else "" for arm in own.arms(axis)}
        parts = [f"{ARM_TITLES.get(a, a)}: {t}" if a else t for a, t in texts.items() if t]
        text = ". ".join(parts) or "this axis has no optimum on the surface"
        text += f" (on {own.source})" if own is not results else ""
        entries[axis] = entry(None, text, origin.file, f"{origin.key}.optima")
    for of, key in (("optimum", "exponent_n"), ("D", "exponent_d")):
        slope = found.exponent("allocation", "", of)
        entries[key] = (
            _number(slope.exponent, slope.origin)
            if slope
            else entry(None, "no exponent was fitted", origin.file, f"{origin.key}.exponents")
        )
    return {f"{head}.{key}": value for key, value in entries.items()}


def optima_text(surface: Surface, axis: str, arm: str) -> str:
    """Nominal optima over budgets; those that say the same are put together."""
    optima = surface.optimum(axis, arm)
    if not optima:
        return ""
    unit = "share" if axis == "share" else ""
    by_text: dict[str, list[str]] = {}
    for one in optima:
        by_text.setdefault(estimate_text(one.optimum, unit), []).append(flops(one.budget))
    parts = [f"at {join(budgets)} {text}" for text, budgets in by_text.items()]
    return f"{optimum_symbol(axis, arm)} " + "; ".join(parts)


def _critical(results: Results) -> Numbers:
    entries: Numbers = {}
    for one in results.criticals:
        key = f"critical_batch.{slug(one.metric)}.{one.method}.{budget_slug(one.budget)}"
        entries[f"{key}.sequences"] = _number(one.sequences, one.origin.at("sequences"))
        entries[f"{key}.events"] = _number(one.events, one.origin.at("events"))
    by_loss = [one for one in results.criticals if one.metric == LOSS]
    for method, words in METHODS.items():
        own = [one for one in by_loss if one.method == method]
        texts = [f"at {flops(o.budget)} {_critical_text(o)}" for o in own]
        text = "; ".join(texts) or f"{words} was not measured"
        entries[f"critical_batch.{method}"] = entry(
            [o.sequences.value for o in own], text, CRITICAL, f"method = {method}"
        )
    pairs = {
        (one.budget, frozenset(text.replace(" sequences", "").split(", "))): text
        for one in by_loss
        for text in one.disagreements
    }
    said = [f"at {flops(budget)} {text}" for (budget, _), text in pairs.items()]
    none = "no two of the intervals that are known exclude one another"
    entries["critical_batch.disagreement"] = entry(
        len(pairs), listing(said, 6) or none, CRITICAL, "disagreements"
    )
    return entries


def _critical_text(one: Critical) -> str:
    if one.sequences.status != "converged":
        reason = f" ({one.sequences.reason})" if one.sequences.reason else ""
        return f"{estimate_text(one.sequences)}{reason}"
    return f"{estimate_text(one.sequences)} sequences, {estimate_text(one.events)} events"


def _backtest(results: Results) -> Numbers:
    entries: Numbers = {}
    for one in results.backtests:
        middle = ".".join(part for part in (one.axis, one.arm) if part)
        for name, score in one.scores.items():
            for what, word in (("coverage", percent), ("crps", number)):
                key = f"backtest.{slug(one.metric)}.{middle}.{name}.{what}"
                place = f"{one.origin.key}.scores.{name}.{what}"
                entries[key] = entry(score[what], word(score[what]), one.origin.file, place)
    for name, metric in HEADLINE.items():
        own = [one for one in results.backtests if one.metric == metric]
        done = [one for one in own if one.status == "converged"]
        text = "; ".join(_backtest_text(one) for one in done)
        if not done:
            reasons = dict.fromkeys(f"{axis_title(o.axis, o.arm)}: {o.reason}" for o in own)
            text = "nothing could be predicted" + (f" ({'; '.join(reasons)})" if own else "")
        place = ", ".join(one.origin.key for one in done) or "backtest"
        entries[f"backtest.{name}"] = entry(len(done), text, BACKTEST, place)
    known = [one for one in results.backtests if one.status == "converged"]
    won = sum(min(o.scores, key=lambda k: float(o.scores[k]["crps"])) == "surface" for o in known)
    entries["backtest.predicted"] = entry(len(known), count(len(known)), BACKTEST, "status")
    entries["backtest.won"] = entry(won, count(won), BACKTEST, "scores")
    return entries


def _backtest_text(one: Backtest) -> str:
    hit = sum(bool(cell["covered"]) for cell in one.cells)
    crps = {name: number(score["crps"]) for name, score in one.scores.items()}
    return (
        f"{axis_title(one.axis, one.arm)} at {flops(one.held_out)}: {hit} of {len(one.cells)} "
        f"cells covered, CRPS {crps['surface']} against {crps['last']} (last budget again) and "
        f"{crps['log_linear']} (log-linear)"
    )


def _choice(results: Results) -> Numbers:
    own = [one for one in results.choices if (one.loss, one.metric) == (LOSS, RECALL)]
    file = "laws/agreement.json"
    entries: Numbers = {}
    for one in own:
        middle = ".".join(part for part in (one.axis, one.arm) if part)
        key = f"choice_cost.{middle}.{budget_slug(one.budget)}"
        entries[f"{key}.cost"] = _number(one.cost, one.origin.at("cost"), "metric")
        entries[f"{key}.relative"] = _number(one.relative, one.origin.at("relative"), "share")
    known = [one for one in own if one.relative.status == "converged"]
    parts = [
        f"{axis_title(one.axis, one.arm)} at {flops(one.budget)}: "
        f"{estimate_text(one.relative, 'share')}"
        for one in known
    ]
    values = [one.relative.value for one in known]
    keys = ", ".join(f"{one.origin.key}.relative.value" for one in known)
    text = "; ".join(parts) or f"no cost of {short_metric(RECALL)} could be told"
    largest = max(known, key=lambda one: one.relative.value or 0.0, default=None)
    entries["choice_cost.all"] = entry(values, text, file, keys or "choice_cost")
    entries["choice_cost.largest"] = (
        _number(largest.relative, largest.origin.at("relative"), "share")
        if largest
        else entry(None, "not known", file, "choice_cost")
    )
    same = sum(one.cost.value == 0 for one in known)
    entries["choice_cost.curves"] = entry(len(known), count(len(known)), file, "choice_cost")
    entries["choice_cost.same"] = entry(same, count(same), file, "cost.value = 0")
    return entries
