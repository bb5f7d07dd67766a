"""The tidy table behind a data card's figure: one mark a row.

Choices: columns panel, series, label, x, x_end, y, n, users; x and x_end are unix seconds of the
panel 'events', seconds of 'gaps', events of 'lengths', 'sessions' and 'repeats', a rank of
'popularity'; y is a count or, in 'repeats', 'gaps', 'missing' and 'targets', a share; of
'entropy' it is nats. A panel of which nothing is known has a row 'absent' whose label says so.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from behavior_scaling.data.card import CardFacts
from behavior_scaling.data.tally import Spread
from behavior_scaling.report import tidy
from behavior_scaling.report.card_words import date
from behavior_scaling.report.text import FLOORS

COLUMNS = ["panel", "series", "label", "x", "x_end", "y", "n", "users"]
SHOWN_SLICES = ("session_start", "unseen_user", "cold_item", "popular_tail")
NO_TRANSITION = "no user has two events"

Row = dict[str, Any]


def card_rows(facts: CardFacts, floors: pd.DataFrame) -> pd.DataFrame:
    """Every mark of the figure, rounded as it is written.

    Args:
        facts: of the data set.
        floors: as card_words.read_floors gives them; empty where they were not measured.
    """
    counts = (
        ("lengths", facts.lengths, 1.0),
        ("sessions", facts.sessions, 1.0),
        ("gaps", facts.gaps, max(facts.gaps.n, 1)),
    )
    rows = _events(facts)
    for panel, spread, total in counts:
        rows += _histogram(panel, spread, total)
    rows.append({"panel": "lengths", "series": "context", "x": facts.settings["context"]})
    rows += [
        {"panel": "popularity", "series": "items", "x": rank, "y": events}
        for rank, events in zip(facts.popularity.ranks, facts.popularity.events, strict=True)
    ]
    rows += _entropy(facts, floors) + _repeats(facts) + _missing(facts) + _targets(facts)
    return tidy.round_significant(pd.DataFrame(rows, columns=COLUMNS))


def _events(facts: CardFacts) -> list[Row]:
    line = facts.timeline
    ends = [*line.starts[1:], facts.last + 1]
    rows: list[Row] = [
        {"panel": "events", "series": split, "label": date(x), "x": x, "x_end": end, "y": y}
        for split, events in line.events.items()
        for x, end, y in zip(line.starts, ends, events, strict=True)
    ]
    if facts.t1 is not None:
        rows.append({"panel": "events", "series": "t1", "label": date(facts.t1), "x": facts.t1})
    return rows


def _histogram(panel: str, spread: Spread, total: float) -> list[Row]:
    if not spread.n:
        return [{"panel": panel, "series": "absent", "label": NO_TRANSITION}]
    return [
        {"panel": panel, "series": "bins", "x": low, "x_end": high, "y": count / total, "n": count}
        for low, high, count in spread.bins
    ]


def _entropy(facts: CardFacts, floors: pd.DataFrame) -> list[Row]:
    bars = [
        ("uniform", "every item alike: ln V", math.log(facts.counts.items)),
        ("train", "popularity in train: its entropy", facts.unigram_entropy),
    ]
    chosen = floors[floors["cross_entropy"].notna() & (floors["slice"] == "all")]
    bars += [
        (row["split"], f"{FLOORS[row['floor']]} on {row['split']}", row["cross_entropy"])
        for row in chosen.to_dict("records")
        if row["split"] == "validation"
    ]
    rows: list[Row] = [
        {"panel": "entropy", "series": series, "label": label, "y": y} for series, label, y in bars
    ]
    if chosen.empty:
        rows.append({"panel": "entropy", "series": "absent", "label": "floors were not given"})
    return rows


def _repeats(facts: CardFacts) -> list[Row]:
    if facts.repeats is None:
        return [{"panel": "repeats", "series": "absent", "label": NO_TRANSITION}]
    rows: list[Row] = [
        {"panel": "repeats", "series": "within", "x": int(lag), "y": share}
        for lag, share in facts.repeats.within.items()
    ]
    return [*rows, {"panel": "repeats", "series": "ever", "y": facts.repeats.ever}]


def _missing(facts: CardFacts) -> list[Row]:
    rows: list[Row] = []
    for series, columns in (
        ("item", facts.features.missing),
        ("event", facts.features.event_missing),
    ):
        rows += [
            {"panel": "missing", "series": series, "label": name, "y": share}
            for name, share in columns.items()
        ]
        if not columns:
            label = f"the source has no {series} feature"
            rows.append({"panel": "missing", "series": "absent", "label": label})
    return rows


def _targets(facts: CardFacts) -> list[Row]:
    rows: list[Row] = []
    for half, slices in facts.targets.items():
        total = slices["all"].positions
        if not total:
            rows.append({"panel": "targets", "series": "absent", "label": f"no {half} target"})
            continue
        rows += [
            {
                "panel": "targets", "series": half, "label": name,
                "y": slices[name].positions / total,
                "n": slices[name].positions, "users": slices[name].users,
            }
            for name in SHOWN_SLICES
        ]  # fmt: skip
    return rows
