"""Checks of single columns, of events and items alike: unusable, missing, constant, extreme."""

from __future__ import annotations

from behavior_scaling.data.engine import name
from behavior_scaling.data.events import LARGEST, LONGEST_ID
from behavior_scaling.data.finding import Finding, Kept, Level, percent
from behavior_scaling.data.own_query import MOMENT

IDS = ("user_id", "item_id", "session_id")
_MANY = 0.5  # a share of missing values above which a column is hardly there


def check_unusable(kept: Kept) -> list[Finding]:
    """Values that are there and cannot be read."""
    findings: list[Finding] = []
    for column, unusable in kept.unusable.items():
        said = kept.own.columns[column].what
        findings += kept.found(
            "error", "unusable", shown_name(column), f"{unusable} IS NOT NULL",
            f"the value {said.split(';')[0]}", "preparation stops at the first",
            said.split("; ")[-1], f"'''' || {unusable} || ''''",
        )  # fmt: skip
    return findings


def check_required(kept: Kept) -> list[Finding]:
    """Ids and times that are missing, and ids that can hardly be meant."""
    findings = []
    for column in (*IDS, MOMENT):
        if column not in kept.own.columns:
            continue
        quoted, shown = name(column), shown_name(column)
        is_text = _kind(kept, column) == "VARCHAR"
        missing = f"{quoted} IS NULL" + (f" OR {quoted} = ''" if is_text else "")
        if column in kept.unusable:
            missing = f"({missing}) AND {kept.unusable[column]} IS NULL"
        count = kept.count(missing)
        if count:
            findings.append(
                Finding(
                    "error", "missing", kept.name, shown, count,
                    f"in {kept.share(count)} the {shown} is missing",
                    f"preparation stops; leaving them out drops {percent(count, kept.total)}",
                    _keep_the_others(kept, column),
                    kept.first(missing),
                )
            )  # fmt: skip
        if not is_text:
            continue
        padded = f"{quoted} <> trim({quoted})"
        findings += kept.found(
            "warning", "spaces", shown, padded, f"the {shown} has spaces around it",
            "' a' and 'a' are two ids", "trim the ids", f"'''' || {quoted} || ''''",
        )  # fmt: skip
        findings += kept.found(
            "error", "long ids", shown, f"length({quoted}) > {LONGEST_ID}",
            f"the {shown} is longer than {LONGEST_ID} letters",
            "preparation stops at the first", "is a delimiter or a quote wrong?", quoted,
        )  # fmt: skip
    return findings


def check_features(kept: Kept, kinds: dict[str, str]) -> list[Finding]:
    """Features that are missing, hold one value only, or numbers that no model survives.

    Args:
        kept: the table.
        kinds: of its features.
    """
    findings = []
    for column, kind in kinds.items():
        quoted = name(column)
        distinct = f"approx_count_distinct({quoted})" if kind != "vector" else "2"
        present, some = kept.one(f"count({quoted}), {distinct}")
        lost = kept.total - present
        unusable = kept.unusable.get(column)
        if unusable is not None:
            lost -= kept.count(f"{unusable} IS NOT NULL AND {quoted} IS NULL")
        if lost:
            level: Level = "warning" if lost > _MANY * kept.total else "note"
            findings.append(
                Finding(
                    level, "missing values", kept.name, column, lost,
                    f"in {kept.share(lost)} {column} is missing",
                    "a missing value becomes a token of its own; the rows stay",
                    "leave the feature out" if level == "warning" else "nothing needs to be done",
                )
            )  # fmt: skip
        if present > 1 and some == 1 and kept.one(f"count(DISTINCT {quoted})")[0] == 1:
            findings.append(
                Finding(
                    "warning", "constant", kept.name, column, present,
                    f"all values of {column} are the same",
                    "it tells nothing and takes up tokens", "leave the feature out",
                    kept.first(f"{quoted} IS NOT NULL", quoted)[:1],
                )
            )  # fmt: skip
        if kind == "numeric":
            findings += _extreme(kept, column)
    return findings


def shown_name(column: str) -> str:
    """A canonical column as findings call it."""
    return {"user_id": "user", "item_id": "item", "session_id": "session", MOMENT: "time"}.get(
        column, column
    )


def _keep_the_others(kept: Kept, column: str) -> str:
    if kept.name == "items":
        return "fill them in, or leave these rows out of the file"
    own = kept.own.named[column]
    cell = own if own.isidentifier() else name(own)
    return f"fill them in, or keep the others; below events: where: '{cell} IS NOT NULL'"


def _extreme(kept: Kept, column: str) -> list[Finding]:
    quoted = name(column)
    return kept.found(
        "error", "extreme", column, f"abs({quoted}) > {LARGEST}",
        f"{column} is beyond {LARGEST:g} or infinite",
        "preparation stops at the first", "leave these values empty", quoted,
    )  # fmt: skip


def _kind(kept: Kept, column: str) -> str:
    return str(kept.one(f"any_value(typeof({name(column)}))")[0])
