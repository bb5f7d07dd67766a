"""Checks of the events as a whole: repeats, users of one event, robots.

Choices: `usable` are the events that preparation would keep: both ids, a believable time, repeats
dropped. A user is taken for a robot by rate (RATE events within one clock hour: one every 1.8
seconds, for an hour) or by share (more than BULK of all events and BULK_TIMES the median user's,
where there are BULK_USERS users at least).
"""

from __future__ import annotations

from behavior_scaling.data.engine import name
from behavior_scaling.data.finding import SHOWN, Finding, Kept, ask, counted, percent
from behavior_scaling.data.own_files import LINE
from behavior_scaling.data.own_query import MOMENT
from behavior_scaling.data.validate_time import latest

RATE = 2000
BULK, BULK_TIMES, BULK_USERS = 0.01, 100, 1000


def make_usable(kept: Kept) -> list[Finding]:
    """Make the table `usable` (user_id, item_id, second, line), and report repeated events."""
    session = ["session_id"] if "session_id" in kept.own.columns else []
    features = [column for column in kept.own.columns if column not in (MOMENT, *_KEYS)]
    every = ", ".join(["user_id", "item_id", "second", *session, *map(name, features)])
    believable = (
        f"user_id IS NOT NULL AND item_id IS NOT NULL AND {MOMENT} BETWEEN 0 AND {latest()}"
    )
    rows = f"(SELECT *, {MOMENT} // 1000000 AS second FROM events WHERE {believable})"
    kept.connection.execute(
        f"CREATE TABLE usable AS SELECT user_id, item_id, second, min({LINE}) AS {LINE}, "
        f"max({LINE}) AS last, count(*) AS times FROM {rows} GROUP BY {every}"
    )
    dropped, first = ask(
        kept.connection,
        "SELECT coalesce(sum(times - 1), 0), count(*) FROM usable WHERE times > 1",
    )[0]
    if not dropped:
        return []
    shown = ask(
        kept.connection,
        f"SELECT {LINE}, last, times FROM usable WHERE times > 1 ORDER BY {LINE} LIMIT {SHOWN}",
    )
    return [
        Finding(
            "warning", "duplicates", "events", "", int(dropped),
            f"repeats of an earlier event in every described column: {kept.share(int(dropped))} "
            f"(times cut to seconds)",
            f"they are dropped; kept in their place: {counted(first, 'event')}",
            "if they are real, describe a column that tells them apart, such as a quantity",
            tuple(f"{kept.own.row(row)} = {kept.own.row(last)}" for row, last, _ in shown),
        )
    ]  # fmt: skip


def check_users(kept: Kept) -> list[Finding]:
    """Users of one event, and robots."""
    kept.connection.execute(
        f"CREATE TABLE users AS SELECT user_id, count(*) AS n, min({LINE}) AS {LINE} "
        f"FROM usable GROUP BY user_id"
    )
    users, single, events = ask(
        kept.connection, "SELECT count(*), count(*) FILTER (WHERE n = 1), sum(n) FROM users"
    )[0]
    findings = []
    if single:
        findings.append(
            Finding(
                "warning", "single events", "events", "user", single,
                f"only one event: {counted(single, 'user')} ({percent(single, users)})",
                f"no loss and no target for {counted(single, 'user')}: "
                f"{percent(single, events)} of the events count in popularities only",
                "nothing, or leave them out; if they are most, is `user` a session's id?",
                _users(kept, "n = 1"),
            )
        )  # fmt: skip
    return [*findings, *_fast(kept), *_bulky(kept, users, events)]


def _fast(kept: Kept) -> list[Finding]:
    kept.connection.execute(
        f"CREATE TABLE hours AS SELECT user_id, max(n) AS most, min({LINE}) AS {LINE} FROM "
        f"(SELECT user_id, second // 3600 AS hour, count(*) AS n, min({LINE}) AS {LINE} "
        f"FROM usable GROUP BY ALL HAVING n > {RATE}) GROUP BY user_id"
    )
    found = ask(
        kept.connection,
        "SELECT count(*), coalesce(sum(n), 0) FROM hours JOIN users USING (user_id)",
    )[0]
    if not found[0]:
        return []
    shown = ask(
        kept.connection,
        f"SELECT user_id, most, {LINE} FROM hours ORDER BY most DESC, user_id LIMIT {SHOWN}",
    )
    return [
        Finding(
            "warning", "robots by rate", "events", "user", found[0],
            f"more than {RATE:,} events within one clock hour: {counted(found[0], 'user')}",
            f"{percent(found[1], kept.total)} of all events are theirs; a model learns robots "
            f"(or bulk imports) first",
            "leave them out with where:, if they are no people",
            tuple(f"user {user}: {most:,} in an hour, from {kept.own.row(line)}"
                  for user, most, line in shown),
        )
    ]  # fmt: skip


def _bulky(kept: Kept, users: int, events: int) -> list[Finding]:
    if users < BULK_USERS:
        return []
    median = ask(kept.connection, f"SELECT n FROM users ORDER BY n LIMIT 1 OFFSET {users // 2}")[0][
        0
    ]
    least = max(BULK * events, BULK_TIMES * median)
    found = ask(
        kept.connection, f"SELECT count(*), coalesce(sum(n), 0) FROM users WHERE n > {least}"
    )[0]
    if not found[0]:
        return []
    return [
        Finding(
            "warning", "robots by share", "events", "user", found[0],
            f"more than {BULK:.0%} of all events each: {counted(found[0], 'user')}; that is more "
            f"than {BULK_TIMES} times the median user's {median:,}",
            f"{percent(found[1], events)} of all events are theirs; losses follow them",
            "leave them out with where:, if they are no people",
            _users(kept, f"n > {least}"),
        )
    ]  # fmt: skip


_KEYS = ("user_id", "item_id", "session_id")


def _users(kept: Kept, condition: str) -> tuple[str, ...]:
    shown = ask(
        kept.connection,
        f"SELECT user_id, n, {LINE} FROM users WHERE {condition} ORDER BY n DESC, {LINE} "
        f"LIMIT {SHOWN}",
    )
    return tuple(
        f"user {user}: {counted(n, 'event')}, first in {kept.own.row(line)}"
        for user, n, line in shown
    )
