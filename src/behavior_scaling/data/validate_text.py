"""A report of validation as people read it in a terminal, and as JSON."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Any

from behavior_scaling.data.finding import Finding, counted
from behavior_scaling.data.validate import Report

WIDTH = 96
_VERDICTS = {
    "error": "cannot be prepared: mend the errors first",
    "warning": "can be prepared; look at the warnings",
    "note": "ready to prepare",
    "": "ready to prepare; nothing to remark",
}


def as_text(report: Report) -> str:
    """The report: facts, missing shares, findings by level, verdict."""
    lines = [report.name, "=" * len(report.name)]
    lines += [f"  {fact:22} {_shown(value):>20}" for fact, value in report.facts.items()]
    lacking = [f"{column} {share:.1%}" for column, share in report.missing.items() if share]
    if report.missing:
        lines += _wrapped(f"missing: {', '.join(lacking) or 'no feature anywhere'}", "  ")
    for finding in report.findings:
        lines += ["", *_finding(finding)]
    counts = ", ".join(
        counted(sum(finding.level == level for finding in report.findings), level)
        for level in ("error", "warning", "note")
    )
    worst = report.findings[0].level if report.findings else ""
    return "\n".join([*lines, "", f"{counts}: {_VERDICTS[worst]}."])


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "name": report.name,
        "failed": report.failed,
        "facts": report.facts,
        "missing": report.missing,
        "findings": [asdict(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> list[str]:
    place = ".".join(part for part in (finding.table, finding.column) if part)
    lines = [f"{finding.level.upper()}  {finding.check}" + (f", {place}" if place else "")]
    lines += _wrapped(finding.what, "  ")
    if finding.rows:
        lines += [f"    {row}" for row in finding.rows]
    lines += _wrapped(f"cost: {finding.cost}", "  ")
    if finding.advice:
        lines += _wrapped(f"do:   {finding.advice}", "  ")
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return [
        line
        for part in text.splitlines()
        for line in textwrap.wrap(
            part, WIDTH, initial_indent=indent, subsequent_indent=indent + "      ",
            break_long_words=False, break_on_hyphens=False,
        )
    ]  # fmt: skip


def _shown(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value
