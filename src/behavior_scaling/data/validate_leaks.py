"""Leakage suspects: item features that know what came after.

Choices: a number that orders the items as their counts or their last times do (Spearman's |rho|
above RHO over the items with events, SCARCE of them at least, of at least two counts) was probably
made from the very events that are to be foretold; a text or category that holds an ISO date after
its item's first event was written later than that event. Both are suspicions: the finding says
what to ask.
"""

from __future__ import annotations

from behavior_scaling.data.engine import name
from behavior_scaling.data.finding import SHOWN, Finding, Kept, ask
from behavior_scaling.data.own_files import LINE

RHO = 0.95
SCARCE = 20  # items
_DATE = r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_SIGNS = (("n", "number of events"), ("last_second", "time of the last event"))


def check_leaks(items: Kept, kinds: dict[str, str]) -> list[Finding]:
    """Suspects among the items' features.

    Args:
        items: the table; `item_events` stands beside it.
        kinds: of its features.
    """
    findings = []
    for column, kind in kinds.items():
        if kind == "numeric":
            findings += _ordered(items, column)
        elif kind in ("text", "categorical"):
            findings += _dated(items, column)
    return findings


def _ordered(items: Kept, column: str) -> list[Finding]:
    findings = []
    for sign, text in _SIGNS:
        pairs = (
            f"SELECT {name(column)} AS x, {sign} AS y FROM items JOIN item_events USING (item_id) "
            f"WHERE {name(column)} IS NOT NULL"
        )
        rho, count = ask(
            items.connection,
            f"WITH pairs AS ({pairs}), ranks AS (SELECT "
            f"rank() OVER (ORDER BY x) + (count(*) OVER (PARTITION BY x) - 1) / 2 AS rx, "
            f"rank() OVER (ORDER BY y) + (count(*) OVER (PARTITION BY y) - 1) / 2 AS ry "
            f"FROM pairs) SELECT CASE WHEN min(rx) < max(rx) AND min(ry) < max(ry) "
            f"THEN corr(rx, ry) END, count(*) FROM ranks",
        )[0]
        if rho is not None and abs(rho) > RHO and count >= SCARCE:
            findings.append(
                Finding(
                    "warning", "leakage suspect", "items", column, count,
                    f"{column} orders {count:,} items as their {text} does "
                    f"(rank correlation {rho:.3f})",
                    "if it was counted from these events, the model is told the future",
                    "was it known before the first event? if not, leave the feature out",
                )
            )  # fmt: skip
    return findings


def _dated(items: Kept, column: str) -> list[Finding]:
    latest = (
        f"list_max(list_transform(regexp_extract_all({name(column)}, '{_DATE}'), "
        f"lambda v: TRY_CAST(v AS DATE)))"
    )
    later = (
        f"(SELECT {LINE}, {latest} AS day, "
        f"CAST(make_timestamp(first_second * 1000000) AS DATE) AS first_day "
        f"FROM items JOIN item_events USING (item_id)) WHERE day > first_day"
    )
    count = int(ask(items.connection, f"SELECT count(*) FROM {later}")[0][0])
    if not count:
        return []
    shown = ask(
        items.connection,
        f"SELECT {LINE}, day, first_day FROM {later} ORDER BY {LINE} LIMIT {SHOWN}",
    )
    return [
        Finding(
            "warning", "leakage suspect", "items", column, count,
            f"in {items.share(count)} {column} holds a date after the item's first event",
            "a text written later tells what came after",
            "take each item's text as it was at its first event",
            tuple(f"{items.own.row(line)}: says {day}, first event {first}"
                  for line, day, first in shown),
        )
    ]  # fmt: skip
