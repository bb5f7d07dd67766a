"""The numbers of a study's parts: a line an axis, and what the worlds of known entropy show.

Choices: a part's name loses the study's own in front ('pilot-git' of 'pilot' is 'git'), so that a
discussion reads the same when the study is renamed; what a part did not run has no number.
"""

from __future__ import annotations

from behavior_scaling.laws.results import Estimate
from behavior_scaling.laws.table import AXES
from behavior_scaling.report.inputs import Results
from behavior_scaling.report.number import HEADLINE, Number, Numbers, entry, slug
from behavior_scaling.report.numbers_laws import axis_line
from behavior_scaling.report.text import estimate_text, flops, three_decimals
from behavior_scaling.report.worlds import across_worlds, repeated_data, world_laws


def part_numbers(results: Results) -> Numbers:
    """Optima of every part's axes, by headline metric; then the worlds."""
    entries: Numbers = {}
    for part in results.parts:
        for axis in AXES:
            for name, metric in HEADLINE.items():
                text, values, origin = axis_line(part, axis, metric)
                if text:
                    key = f"parts.{_short(part.study, results.study)}.{axis}.{name}"
                    entries[key] = entry(values, text, origin.file, origin.key)
    return entries | _world_numbers(results)


def _world_numbers(results: Results) -> Numbers:
    entries: Numbers = {}
    for world in world_laws(results.world_rows, results.place):
        head = f"worlds.{_short(world.study, results.study)}"
        file, key = world.origin.file, world.origin.key
        entries[f"{head}.entropy"] = entry(
            world.entropy, three_decimals(world.entropy), file, f"{key}.oracle.H"
        )
        gaps = [f"{flops(one.budget)}: {estimate_text(one.gap, 'metric')}" for one in world.budgets]
        entries[f"{head}.gaps"] = entry(
            [one.gap.value for one in world.budgets], "; ".join(gaps), file, f"{key}.budgets"
        )
        for name, place, value in (
            ("plain", "plain.b", world.plain["b"]),
            ("known", "known.b", world.known["b"]),
            ("size", "N", world.size),
        ):
            entries[f"{head}.{name}"] = _estimate(value, file, f"{key}.{place}")
    for one in across_worlds(results.across, results.place):
        name = {"N": "size"}.get(one.of, one.of)
        entries[f"worlds.across.{name}"] = _estimate(
            one.slope, one.origin.file, f"{one.origin.key}.slope"
        )
    for pair in repeated_data(results.repetition_rows, results.place):
        head = f"worlds.{_short(pair.repeated, results.study)}.worth"
        entries[head] = _estimate(pair.worth, pair.origin.file, f"{pair.origin.key}.R*")
    return entries


def _estimate(value: Estimate, file: str, key: str) -> Number:
    return entry(value.value, estimate_text(value), file, f"{key}.value")


def _short(part: str, study: str) -> str:
    return slug(part.removeprefix(f"{study}-"))
