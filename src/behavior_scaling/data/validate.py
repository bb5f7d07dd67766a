"""Validation of one's own tables: every problem, how often, in which rows, and what it costs.

Choices: all checks run, also after an error, as far as its rows can be left out; only a file that
cannot be read ends the work. Everything is counted by the engine within its memory.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data.engine import engine, literal, name
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.finding import Finding, Kept, ask, keep
from behavior_scaling.data.own_config import Description
from behavior_scaling.data.own_query import own_queries
from behavior_scaling.data.validate_columns import (
    check_features,
    check_required,
    check_unusable,
)
from behavior_scaling.data.validate_events import check_users, make_usable
from behavior_scaling.data.validate_items import check_items, check_vectors, count_items
from behavior_scaling.data.validate_leaks import check_leaks
from behavior_scaling.data.validate_time import check_targets, check_times, cut


@dataclass
class Report:
    """What was found.

    Attributes:
        name: of the description.
        findings: errors first, then warnings, then notes.
        facts: counts, times and targets; empty where nothing could be read.
        missing: 'events.channel' and the like to the share of rows without a value.
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, int | str] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the data cannot be prepared as they are."""
        return any(finding.level == "error" for finding in self.findings)


def validate(description: Description, folder: Path, where: str, config: DataConfig) -> Report:
    """Check tables.

    Args:
        description: what the files hold.
        folder: that its paths are relative to.
        where: the description's name, for messages.
        config: how the events will be split.
    """
    report = Report(where)
    try:
        with tempfile.TemporaryDirectory(prefix="behavior-scaling-") as scratch:
            _run(report, description, folder, config, Path(scratch))
    except DataError as error:
        report.findings.append(
            Finding("error", "unreadable", "", "", 1, str(error), "nothing can be prepared", "")
        )
    order = {"error": 0, "warning": 1, "note": 2}
    report.findings.sort(key=lambda finding: order[finding.level])
    return report


def _run(
    report: Report, description: Description, folder: Path, config: DataConfig, scratch: Path
) -> None:
    with engine(scratch) as connection:
        connection.execute(f"ATTACH {literal(str(scratch / 'kept.duckdb'))} AS kept")
        connection.execute("USE kept")
        queries = own_queries(connection, description, folder, report.name)
        events = keep(connection, "events", queries.events)
        kinds = dict(description.events.features)
        report.findings += check_unusable(events)
        report.findings += check_required(events)
        report.findings += check_features(events, dict(kinds))
        report.findings += check_times(events, queries.unit)
        report.findings += make_usable(events)
        report.findings += check_users(events)
        count_items(events)
        if not events.total:
            raise DataError(f"{report.name}: events: the files hold no rows that are kept")
        if description.items is not None and queries.items is not None:
            items = keep(connection, "items", queries.items)
            features = {
                column: one.kind
                for column, one in description.items.features.items()
                if column in queries.items.columns
            }
            report.findings += check_unusable(items)
            report.findings += check_required(items)
            report.findings += check_features(items, dict(features))
            vectors = [column for column, kind in features.items() if kind == "vector"]
            report.findings += check_vectors(items, vectors)
            report.findings += check_items(events, items)
            report.findings += check_leaks(items, dict(features))
            report.missing |= _missing(items, list(features))
            report.facts["items"] = items.total
        report.missing |= _missing(events, list(kinds))
        _facts(report, events, config)


def _facts(report: Report, events: Kept, config: DataConfig) -> None:
    rows, users, things, first, last = ask(
        events.connection,
        "SELECT count(*), (SELECT count(*) FROM users), (SELECT count(*) FROM item_events), "
        "strftime(make_timestamp(min(second) * 1000000), '%Y-%m-%d %H:%M:%S'), "
        "strftime(make_timestamp(max(second) * 1000000), '%Y-%m-%d %H:%M:%S') FROM usable",
    )[0]
    report.facts |= {"events": events.total, "usable events": rows, "users": users}
    report.facts |= {"items with events": things}
    t1 = cut(events, config.train_fraction)
    if t1 is None:
        return
    report.facts |= {"first event (UTC)": first, "last event (UTC)": last}
    findings, halves = check_targets(events, t1, config)
    report.findings += findings
    report.facts |= {f"{half} targets": count for half, count in halves.items()}


def _missing(kept: Kept, columns: list[str]) -> dict[str, float]:
    if not columns or not kept.total:
        return {}
    present = kept.one(", ".join(f"count({name(column)})" for column in columns))
    return {
        f"{kept.name}.{column}": 1 - count / kept.total
        for column, count in zip(columns, present, strict=True)
    }
