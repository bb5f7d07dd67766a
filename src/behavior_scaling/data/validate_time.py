"""Checks of the events' times, and of what the time split makes of them."""

from __future__ import annotations

import time

import numpy as np

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.events import DAY
from behavior_scaling.data.finding import Finding, Kept, ask, counted
from behavior_scaling.data.own_columns import UNITS, has_offset
from behavior_scaling.data.own_files import LINE
from behavior_scaling.data.own_profile import YEAR_1990, YEAR_2100
from behavior_scaling.data.own_query import MOMENT
from behavior_scaling.data.split import in_test_half

_SECOND = 1_000_000
_BATCH = 100_000  # users whose halves are looked up at a time


def latest() -> int:
    """The last time that is believed, in microseconds: a day ahead of the clock."""
    return (int(time.time()) + DAY) * _SECOND


def check_times(kept: Kept, unit: str | None) -> list[Finding]:
    """Times of another unit, in the future, before 1990, and out of order."""
    at = f"strftime(make_timestamp({MOMENT}), '%Y-%m-%d %H:%M:%S')"
    other, findings = "false", []
    for suspect in (name for name in UNITS if unit is not None and name != unit):
        scale = UNITS[suspect] / UNITS[str(unit)]
        condition = (
            f"{MOMENT} * {scale}::DOUBLE BETWEEN {YEAR_1990 * _SECOND} AND {YEAR_2100 * _SECOND}"
        )
        count = kept.count(condition)
        if count:
            other += f" OR {condition}"
            findings.append(
                Finding(
                    "error", "mixed units", "events", "time", count,
                    f"in {kept.share(count)} the time is one of 1990 to 2100 in {suspect}, "
                    f"among times in {unit}",
                    "their order and the split would be wrong",
                    f"convert them, or state unit: {suspect} if it is theirs that is right",
                    kept.first(condition, f"CAST({MOMENT} / {UNITS[str(unit)]} AS BIGINT)"),
                )
            )  # fmt: skip
    future = f"{MOMENT} > {latest()} AND NOT ({other})"
    ancient = f"{MOMENT} < 0 AND NOT ({other})"
    early = f"{MOMENT} BETWEEN 0 AND {YEAR_1990 * _SECOND - 1} AND NOT ({other})"
    for condition, level, check, text, cost in (
        (future, "error", "future", "lies more than a day in the future", "preparation stops"),
        (ancient, "error", "before 1970", "lies before 1970", "preparation stops"),
        (early, "warning", "before 1990", "lies before 1990 (a missing time stored as 0?)",
         "they come first in their users' histories and reach into training"),
    ):  # fmt: skip
        count = kept.count(condition)
        if count:
            findings.append(
                Finding(
                    "error" if level == "error" else "warning", check, "events", "time", count,
                    f"in {kept.share(count)} the time {text}", cost,
                    "mend these times, or leave the events out with where:",
                    kept.first(condition, at),
                )
            )  # fmt: skip
    return [*findings, *_order(kept), *_zone(kept)]


def cut(kept: Kept, fraction: float) -> int | None:
    """t1 of the usable events in unix seconds; None where there are none."""
    total = int(ask(kept.connection, "SELECT count(*) FROM usable")[0][0])
    found = ask(
        kept.connection,
        f"SELECT second FROM usable ORDER BY second LIMIT 1 OFFSET {int(fraction * total)}",
    )
    return int(found[0][0]) if found else None


def check_targets(kept: Kept, t1: int, config: DataConfig) -> tuple[list[Finding], dict[str, int]]:
    """Targets of both halves under the time split, as preparation will count them."""
    cursor = kept.connection.execute(
        f"SELECT user_id, count(*) FILTER (WHERE second >= {t1}) AS after, "
        f"count(*) FILTER (WHERE second < {t1}) AS before FROM usable GROUP BY user_id "
        f"HAVING after > 0"
    )
    targets = np.zeros(2, dtype=np.int64)
    while rows := cursor.fetchmany(_BATCH):
        users, after, before = zip(*rows, strict=True)
        half = in_test_half(users).astype(np.int64)
        first = np.array(before) == 0  # a user's first event has nothing to be told from
        targets += np.bincount(half, weights=np.array(after) - first, minlength=2).astype(int)
    halves = {"validation": int(targets[0]), "test": int(targets[1])}
    findings = []
    if not kept.connection.execute(f"SELECT 1 FROM usable WHERE second < {t1} LIMIT 1").fetchall():
        findings.append(
            Finding(
                "error", "one time", "events", "time", kept.total,
                "no event is earlier than the time split's cut-off",
                "nothing is left to train on", "are the times right? do they lie all on one day?",
            )
        )  # fmt: skip
    few = {half: count for half, count in halves.items() if count < config.least_targets}
    if few:
        said = " and ".join(f"{counted(count, f'{half} target')}" for half, count in few.items())
        findings.append(
            Finding(
                "error", "few targets", "events", "time", min(few.values()),
                f"the time split leaves {said}, fewer than {config.least_targets:,}",
                "the data are refused: so few targets tell models apart by chance",
                "bring more events, lower data.train_fraction, or, knowing what it means, lower "
                "data.least_targets",
            )
        )  # fmt: skip
    return findings, halves


def _order(kept: Kept) -> list[Finding]:
    """Rows are stored as they were read, so that the row above is the row before."""
    back = ask(
        kept.connection,
        f"SELECT count(*), min({LINE}) FROM (SELECT {LINE}, {MOMENT} < lag({MOMENT}) OVER () "
        f"AS back FROM events) WHERE back",
    )[0]
    if not back[0]:
        return []
    return [
        Finding(
            "note", "time order", "events", "time", back[0],
            f"in {kept.share(back[0])} the time is earlier than in the row above",
            "nothing: preparation sorts by user and time; rows of equal time keep their order",
            "nothing needs to be done", (kept.own.row(back[1]),),
        )
    ]  # fmt: skip


def _zone(kept: Kept) -> list[Finding]:
    """Texts with an offset among texts without one."""
    own = kept.own.columns[MOMENT]
    if "TIMESTAMPTZ" not in own.value:
        return []
    offset = has_offset(own.raw)
    count, local, first = ask(
        kept.connection,
        f"SELECT count(*) FILTER (WHERE {offset}), count(*) FILTER (WHERE NOT {offset}), "
        f"min({LINE}) FILTER (WHERE {offset}) FROM {kept.own.rows}",
    )[0]
    if not count or not local:
        return []
    return [
        Finding(
            "warning", "time zones", "events", "time", count,
            f"in {kept.share(count)} the time states its offset from UTC, in the others not",
            "those without are read in the description's zone (UTC if it states none): "
            "if they were written elsewhere they are hours off",
            "write all times in one way, or state time: {column: ..., zone: ...}",
            (kept.own.row(first),),
        )
    ]  # fmt: skip
