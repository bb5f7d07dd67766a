"""The numbers that come from fits, correlations and claims, for numbers.json."""

from __future__ import annotations

from collections import Counter

from behavior_scaling.laws.table import AXES
from behavior_scaling.report.claims import brief, judge, ours_text
from behavior_scaling.report.claims_file import load_claims
from behavior_scaling.report.inputs import Origin, Results
from behavior_scaling.report.number import HEADLINE, Numbers, budget_slug, entry, slug
from behavior_scaling.report.text import (
    ARM_TITLES,
    LOSS,
    RECALL,
    count,
    estimate_text,
    flops,
    optimum_symbol,
)


def fit_numbers(results: Results) -> Numbers:
    """Optima, values there, derived values, exponents and coefficients of every fit."""
    entries: Numbers = {}
    for located in results.shown.fits:
        fit, origin = located.fit, located.origin
        head = ".".join(slug(part) for part in (fit.axis, fit.arm, fit.metric) if part)
        found = {f"exponents.{name}": value for name, value in fit.exponents.items()}
        for index, curve in enumerate(fit.curves):
            at = f"curves[{index}]"
            found |= {f"{at}.optimum": curve.optimum, f"{at}.best": curve.best}
            found |= {f"{at}.derived.{name}": value for name, value in curve.derived.items()}
            found |= {f"{at}.coefficients.{name}": v for name, v in curve.coefficients.items()}
        for key, value in found.items():
            unit = "metric" if key.endswith(".best") else ""
            unit = "share" if fit.axis == "share" and key.endswith(".optimum") else unit
            name = key
            for index, curve in enumerate(fit.curves):
                name = name.replace(f"curves[{index}]", budget_slug(curve.budget))
            name = ".".join(slug(part) for part in name.split("."))
            place = f"{origin.key}.{key}.value"
            entries[f"{head}.{name}"] = entry(
                value.value, estimate_text(value, unit), origin.file, place
            )
    return entries


def summary_numbers(results: Results) -> Numbers:
    """For each axis and headline metric one line over arms and budgets."""
    entries: Numbers = {}
    for axis in AXES:
        own = results.for_axis(axis)
        for name, metric in HEADLINE.items():
            text, values, origin = axis_line(own, axis, metric)
            text = text or "this axis was not run"
            text += f" (on {own.source})" if own is not results else ""
            entries[f"{axis}.{name}"] = entry(values, text, origin.file, origin.key)
    exponent = results.for_axis("allocation").find("allocation", LOSS)
    for symbol in ("N", "D"):
        value = exponent.fit.exponents.get(symbol) if exponent else None
        key = f"{exponent.origin.key}.exponents.{symbol}.value" if exponent else "fits"
        text = "no exponent was fitted" if value is None else estimate_text(value)
        entries[f"allocation.exponent_{slug(symbol)}"] = entry(
            value.value if value else None, text, "laws/allocation.json", key
        )
    return entries


def axis_line(own: Results, axis: str, metric: str) -> tuple[str, list[float | None], Origin]:
    """An axis in a line, its optima as values, and where they stand; '' where it was not run."""
    parts, values = [], []
    origin = Origin(f"{own.place}laws/{axis}.json", "fits")
    for arm in own.arms(axis):
        found = own.find(axis, metric, arm)
        words = f"{ARM_TITLES.get(arm, arm)}: " if arm else ""
        if found is None:
            parts.append(f"{words}nothing was fitted")
            continue
        origin = found.origin
        unit = "share" if axis == "share" else ""
        curves = found.fit.curves
        values += [curve.optimum.value for curve in curves]
        texts = [f"{flops(c.budget)}: {estimate_text(c.optimum, unit)}" for c in curves]
        parts.append(f"{words}{optimum_symbol(axis, arm)} at " + "; ".join(texts))
    return ". ".join(parts), values, origin


def agreement_numbers(results: Results) -> Numbers:
    """Loss against recall@10 within one budget and axis."""
    rows = [
        (f"{own.place}laws/agreement.json: " * bool(own.place) + f"agreement[{index}]", row)
        for axis in AXES
        for own in [results.for_axis(axis)]
        for index, row in enumerate(own.agreements)
        if (row.axis, row.loss, row.metric) == (axis, LOSS, RECALL) and row.budget is not None
    ]
    known = [(place, row) for place, row in rows if row.correlation.status == "converged"]
    parts = [
        f"{row.axis} at {flops(row.budget or 0)}: {estimate_text(row.correlation)}"
        for _, row in known
    ]
    values = [row.correlation.value for _, row in known]
    keys = ", ".join(f"{place}.correlation.value" for place, _ in known)
    text = "; ".join(parts) or "no curve has enough cells for a correlation"
    few = len(rows) - len(known)
    file = "laws/agreement.json"
    return {
        "agreement.all": entry(values, text, file, keys or "agreement"),
        "agreement.too_few": entry(few, count(few), file, "status ≠ converged"),
    }


def claim_numbers(results: Results) -> Numbers:
    """How many claims have which verdict, and each claim's values."""
    entries: Numbers = {}
    claims = load_claims()
    judged = judge(results, claims)
    tally = Counter(item.verdict.name for item in judged)
    for verdict in ("replicated", "consistent", "contradicted", "out of range", "not identified",
                    "not measured"):  # fmt: skip
        key = f"claims.{slug(verdict)}"
        entries[key] = entry(
            tally[verdict], count(tally[verdict]), "claims.json", f"verdict = {verdict}"
        )
    entries["claims.total"] = entry(len(judged), count(len(judged)), "claims.json", "claims")
    flagged = sum("pre-bigram" in item.found.flags for item in judged)
    entries["claims.pre_bigram"] = entry(flagged, count(flagged), "claims.json", "flags")
    for index, item in enumerate(judged):
        name, place = f"claims.by_id.{slug(item.claim.id)}", f"claims[{index}]"
        entries[f"{name}.paper"] = entry(
            item.claim.paper.value, f"{item.claim.paper.text} {item.claim.mark_text}",
            "claims.json", f"{place}.paper_value",
        )  # fmt: skip
        estimate = item.found.estimate
        entries[f"{name}.ours"] = entry(
            estimate.value if estimate else None, ours_text(item), "claims.json", f"{place}.value"
        )
        if item.claim.short:
            entries[f"{name}.brief"] = entry(
                estimate.value if estimate else None, brief(item), "claims.json", f"{place}.value"
            )
        entries[f"{name}.verdict"] = entry(
            item.verdict.name, item.verdict.name, "claims.json", f"{place}.verdict"
        )
    return entries
