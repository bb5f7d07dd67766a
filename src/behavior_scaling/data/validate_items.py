"""Checks of the items' table: ids that stand twice, items and events that miss each other, vectors.

`item_events` (item_id, n, first_second, last_second) comes from the usable events.
"""

from __future__ import annotations

from behavior_scaling.data.engine import name
from behavior_scaling.data.finding import SHOWN, Finding, Kept, ask, counted, percent
from behavior_scaling.data.own_files import LINE


def check_items(events: Kept, items: Kept) -> list[Finding]:
    """Make the table `item_events`, and hold both tables against each other."""
    return [*_doubled(items), *_unseen(events), *_unused(items)]


def count_items(events: Kept) -> None:
    """Make the table `item_events`."""
    events.connection.execute(
        "CREATE TABLE item_events AS SELECT item_id, count(*) AS n, min(second) AS first_second, "
        "max(second) AS last_second FROM usable GROUP BY item_id"
    )


def check_vectors(items: Kept, columns: list[str]) -> list[Finding]:
    """Vectors of differing lengths, and entries that are no finite numbers."""
    findings: list[Finding] = []
    for column in columns:
        quoted = name(column)
        usual = items.one(f"mode(len({quoted}))", f"len({quoted}) > 0")[0]
        findings += items.found(
            "error", "vector lengths", column, f"len({quoted}) <> {usual or 0}",
            f"{column} has not the {usual} entries of most", "preparation stops at the first",
            "leave these vectors empty or make them anew", f"len({quoted}) || ' entries'",
        )  # fmt: skip
        wild = f"len(list_filter({quoted}, lambda v: v IS NULL OR NOT isfinite(v))) > 0"
        findings += items.found(
            "error", "vectors not finite", column, wild,
            f"{column} has an entry that is no finite number",
            "preparation stops at the first", "leave these vectors empty",
        )  # fmt: skip
    return findings


def _doubled(items: Kept) -> list[Finding]:
    groups = (
        f"(SELECT item_id, count(*) AS n, list_sort(list({LINE}))[:2] AS places FROM items "
        f"WHERE item_id IS NOT NULL GROUP BY item_id HAVING n > 1)"
    )
    rows = int(ask(items.connection, f"SELECT coalesce(sum(n - 1), 0) FROM {groups}")[0][0])
    if not rows:
        return []
    shown = ask(
        items.connection,
        f"SELECT item_id, places FROM {groups} ORDER BY places[1] LIMIT {SHOWN}",
    )
    return [
        Finding(
            "error", "items twice", "items", "item", rows,
            f"the id of an earlier row again: {items.share(rows)}",
            "preparation stops at the first",
            "keep one row an item; of texts that change, the first in time",
            tuple(f"{' and '.join(map(items.own.row, places))}: {item}"
                  for item, places in shown),
        )
    ]  # fmt: skip


def _unseen(events: Kept) -> list[Finding]:
    unseen = "usable ANTI JOIN items USING (item_id)"
    lines, things = ask(
        events.connection,
        f"SELECT coalesce(sum(times), 0), count(DISTINCT item_id) FROM {unseen}",
    )[0]
    if not lines:
        return []
    shown = ask(
        events.connection,
        f"SELECT {LINE}, item_id FROM {unseen} ORDER BY {LINE} LIMIT {SHOWN}",
    )
    return [
        Finding(
            "error", "items without a row", "events", "item", int(lines),
            f"no row in the items' table for {counted(things, 'item')}: {events.share(int(lines))}",
            f"preparation stops; leaving them out drops {percent(int(lines), events.total)} of "
            f"the events",
            "add the items' rows (empty features will do), or leave the events out with where:",
            tuple(f"{events.own.row(line)}: {item}" for line, item in shown),
        )
    ]  # fmt: skip


def _unused(items: Kept) -> list[Finding]:
    unused = "items ANTI JOIN item_events USING (item_id)"
    count = int(
        ask(items.connection, f"SELECT count(*) FROM {unused} WHERE item_id IS NOT NULL")[0][0]
    )
    if not count:
        return []
    shown = ask(
        items.connection,
        f"SELECT {LINE}, item_id FROM {unused} WHERE item_id IS NOT NULL "
        f"ORDER BY {LINE} LIMIT {SHOWN}",
    )
    return [
        Finding(
            "note", "items without events", "items", "item", count,
            f"no event for {items.share(count)}",
            "they stay in the catalogue as candidates: ranks are among them too",
            "nothing, if they could have been chosen; else leave them out",
            tuple(f"{items.own.row(line)}: {item}" for line, item in shown),
        )
    ]  # fmt: skip
