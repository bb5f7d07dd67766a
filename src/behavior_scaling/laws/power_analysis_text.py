"""A power report as text."""

from __future__ import annotations

from collections.abc import Iterator

from behavior_scaling.laws.planted import Bowl
from behavior_scaling.laws.power_analysis import Answer
from behavior_scaling.laws.power_analysis_score import Score
from behavior_scaling.laws.power_analysis_study import AXES, PowerReport

SHOWN = 12  # additions
NO_FLOOR = "the law over compute has no E below five budgets: this plan cannot tell"


def described(report: PowerReport) -> str:
    """The report for a terminal."""
    return "\n".join(_lines(report))


def _lines(report: PowerReport) -> Iterator[str]:
    seconds = "" if report.seconds is None else f", about {report.seconds:,.0f} s on one worker"
    yield (
        f"study {report.study}: {report.runs} runs, {report.flops:.3g} FLOPs{seconds}; "
        f"{report.replicates} replicates, seed {report.seed}"
    )
    yield "\nplanted (state other values with --truth NAME=VALUE)"
    truth = report.truth
    yield (
        f"  compute     E {truth.compute.floor:g}, best loss {truth.compute.level:g} at "
        f"{truth.pivot:.3g} FLOPs, reducible part falling as C^-{truth.compute.fall:g}"
    )
    for axis in AXES:
        if axis not in report.missing:
            law = truth.law(axis)
            terms = (
                f"curvature {law.curvature:g}, alpha {law.alpha:g}, beta {law.beta:g}"
                if isinstance(law, Bowl)
                else f"slope {law.slope:g}, gamma {law.gamma:g}"
            )
            yield f"  {axis:<12}{terms}"
    for text in report.assumed:
        yield f"  assumed     {text}"
    yield "\nchance of telling, ± its standard error (both directions, the smaller one)"
    for item in report.answers:
        yield from _answer(item)
    for axis in report.missing:
        yield f"  {axis}: the plan has no such axis, so it tells nothing of it"
    if report.left_out:
        yield "\nnot realised by the plan"
        for text in report.left_out:
            yield f"  {text}"
    yield from _additions(report)


def _answer(item: Answer) -> Iterator[str]:
    if item.told is None:
        yield f"  {item.question:<38} 0      {NO_FLOOR}"
        return
    yield f"  {item.question:<38} {item.told}  ({item.at})"
    first, second = item.scores
    others = {score.estimand: score for score in second}
    for score in first:
        if score.other is not None:
            yield f"    {score.estimand:<24}{_direction(score)}"
            yield f"    {'':<24}{_direction(others[score.estimand])}"


def _direction(score: Score) -> str:
    statuses = ", ".join(
        f"{count / score.replicates:.0%} {name}"
        for name, count in sorted(score.statuses.items(), key=lambda item: -item[1])
    )
    covered = "" if score.coverage is None else f"; covers the truth {score.coverage.value:.0%}"
    return f"if {score.planted:<9.3g} told {score.told}; {statuses}{covered}"


def _additions(report: PowerReport) -> Iterator[str]:
    if report.gains:
        yield (
            f"\nruns to add, by gain in chance per FLOP ({report.addition_replicates} replicates, "
            "the plan's own noise kept, the direction that it tells worse)"
        )
        yield f"  {'gain':<15}{'chance':<14}{'runs':>5}{'FLOPs':>10}{'seconds':>9}  what for"
    for gain in report.gains[:SHOWN]:
        seconds = "-" if gain.seconds is None else f"{gain.seconds:,.0f}"
        yield (
            f"  {f'{gain.gain:+.2f} ± {gain.error:.2f}':<15}"
            f"{f'{gain.before:.2f} -> {gain.after:.2f}':<14}{gain.runs:>5}{gain.flops:>10.2g}"
            f"{seconds:>9}  {gain.axis}: {gain.addition}; {gain.question}"
        )
    if len(report.gains) > SHOWN:
        yield f"  and {len(report.gains) - SHOWN} more with less (--json holds them all)"
    if report.impossible:
        yield "\nadditions that cannot be realised"
        for item in report.impossible:
            yield f"  {item.axis}: {item.text}: {item.reason}"
