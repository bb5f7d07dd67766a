"""What `verify` prints: a table of archived and retrained numbers, and one line that sums it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from behavior_scaling.laws.replication import RELATIVE, SPAN, Comparison, Row
from behavior_scaling.records.record import Record

HEADS = ("", "archive", "retrained", "difference", "tolerance", "verdict")


def table(found: Sequence[tuple[str, Record, Comparison]]) -> Iterator[str]:
    """Lines: for every run its kind and verdict, and below them its headline metrics."""
    blocks = [(kind, record, one, [_cells(row) for row in one.rows]) for kind, record, one in found]
    rows = [HEADS, *(cells for *_, block in blocks for cells in block)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    yield _line(HEADS, widths)
    for kind, record, one, block in blocks:
        spec = record.spec
        yield (
            f"{spec.id[:12]} {kind}, C = {spec.budget:g}, d = {spec.contextualizer.width}, "
            f"seed {spec.seed}: {one.verdict}{f' ({one.reason})' if one.reason else ''}"
        )
        for cells in block:
            yield _line(cells, widths)
    if any(not one.same_kind for _, _, one in found):
        yield (
            f"tolerance: {SPAN:g} standard deviations of the difference of two seeds of a cell, as "
            f"the archive has them ({RELATIVE:.0%} of the value where it has none): this machine "
            "or its versions are not the archive's"
        )


def last_line(found: Sequence[Comparison], others: Sequence[str], seconds: float, seed: int) -> str:
    """The sum of it."""
    counts = Counter(one.verdict for one in found)
    said = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    passed = sum(one.passes for one in found)
    data = f"; {len(others)} on other data, not compared" if others else ""
    return (
        f"verify: {passed} of {len(found)} runs pass ({said}){data}; seed {seed}, {seconds:.0f} s"
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"  {row.metric}",
        _number(row.archived),
        _number(row.retrained),
        "–" if row.difference is None else f"{row.difference:.2g}",
        f"{row.tolerance:.2g}",
        row.verdict,
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others, last = cells
    middle = "  ".join(text.rjust(width) for text, width in zip(others, widths[1:-1], strict=True))
    return f"{first.ljust(widths[0])}  {middle}  {last}"
