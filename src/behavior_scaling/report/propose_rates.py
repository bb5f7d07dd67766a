"""What a calibration suggests: the learning-rate rule as YAML lines, with what stands behind it.

Choices: numbers are rounded to three significant digits before anything is said of them; an
exponent that was not fitted is printed at the study's value, and the comment says why; groups and
residuals are comments, so that the text is a rule file and a block of a study file alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from behavior_scaling.config import Study
from behavior_scaling.report.calibration import Rule, group_name
from behavior_scaling.report.inputs import ReportError, Results
from behavior_scaling.report.text import estimate_text, flops, number, three_decimals

NAMES = ("base", "width", "batch", "budget")


def rule_lines(results: Results, study: Study) -> Iterator[str]:
    """YAML lines of `optimizer.lr`, comments included.

    Raises:
        ReportError: the study has no fitted rule.
    """
    rule = results.calibration.rule
    if rule is None or rule.status != "converged":
        why = rule.reason if rule else "it varies no learning rate (axes.variations)"
        raise ReportError(f"{study.name}: there is no learning-rate rule to propose: {why}")
    yield f"# {rule.form}"
    yield f"# fitted on {fitted_on(results, rule)}; only validation loss decides"
    if rule.cost is not None and rule.study_cost is not None:
        yield (
            f"# loses {three_decimals(rule.cost)} nats on average against each group's own "
            f"optimum; the rule that the study had: {three_decimals(rule.study_cost)}"
        )
    if rule.reason:
        yield f"# {rule.reason}"
    for name in NAMES:
        one = rule.parameters[name]
        said = estimate_text(one) if one.status == "converged" else one.reason
        yield f"#   {name}: {said}" + (f" ({one.reason})" if one.value and one.reason else "")
    for group in rule.groups:
        yield f"#   {group_name(group)}, d = {group.d_model:g}, C = {flops(group.budget)}: " + (
            f"lr* {estimate_text(group.best)}, rule {number(group.rule or 0)}"
            + (
                f", off by a factor of {group.factor:.2f}, {three_decimals(group.cost)} nats"
                if group.factor is not None and group.cost is not None
                else f" ({group.best.reason})"
            )
        )
    numbers = ", ".join(f"{name}: {rounded(rule.rule[name])}" for name in NAMES)
    yield "optimizer:"
    yield f"  lr: {{{numbers}}}"


def fitted_on(results: Results, rule: Rule) -> str:
    """'calibrate, 35 runs in 9 groups, ids 1f2e3d4c': which runs the rule rests on."""
    arms = {arm for group in rule.groups for arm in group.variations}
    rows = results.axis_runs("variation")
    ids = sorted(set(rows[rows["arm"].isin(arms) & (rows["outcome"] == "done")]["id"]))
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:8]
    return f"{results.study}, {len(ids)} runs in {len(rule.groups)} groups, ids {digest}"


def rounded(value: float) -> str:
    """Three significant digits as YAML reads them as a number."""
    text = f"{float(f'{value:.3g}'):.10f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
