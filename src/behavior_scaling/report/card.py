"""The data card: Markdown, figure and tidy CSV of one prepared data set.

Choices: every number comes from CardFacts, the floors' file or the source's own facts, none is
typed here; what the source does not state is said to be unstated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from behavior_scaling.data.card import TOP, CardFacts
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.tally import Spread
from behavior_scaling.files import replacing, write_text
from behavior_scaling.report import style, tidy
from behavior_scaling.report.card_figure import draw
from behavior_scaling.report.card_mind import what_to_mind
from behavior_scaling.report.card_rows import card_rows
from behavior_scaling.report.card_words import date, duration
from behavior_scaling.report.figures.panels import MANY_EPOCHS
from behavior_scaling.report.text import FLOORS, count, number, percent, three_decimals

UNKNOWN = (
    "No registered source has this name: licence and citation are those of whoever brought the "
    "data. `--config STUDY` names the source exactly."
)

Facts = Iterator[tuple[str, str]]


def make_card(
    facts: CardFacts, floors: pd.DataFrame, info: SourceInfo | None, out: Path
) -> list[Path]:
    """Write card.md, card.png and card.csv into `out`; returns the paths.

    Args:
        facts: of the data set.
        floors: as card_words.read_floors gives them; empty where they were not measured.
        info: of the source that the data set was prepared from; None where it is not known.
        out: folder, made if absent.
    """
    table = card_rows(facts, floors)
    paths = [out / f"card.{kind}" for kind in ("md", "png", "csv")]
    write_text(paths[0], card_markdown(facts, floors, info))
    with style.applied():
        image = style.encode(draw(facts, table), "png")
    with replacing(paths[1]) as temporary:
        temporary.write_bytes(image)
    tidy.write_csv(table, paths[2])
    return paths


def card_markdown(facts: CardFacts, floors: pd.DataFrame, info: SourceInfo | None) -> str:
    """The card's text; the figure is named, not held."""
    minded = [f"- {tidy.escape(sentence)}" for sentence in what_to_mind(facts, floors)]
    parts = [
        f"# Data card: {tidy.escape(str(facts.settings['source']))}",
        f"{count(facts.counts.events)} events of {count(facts.counts.users)} users with "
        f"{count(facts.counts.items)} items, {date(facts.first)} to {date(facts.last)}.",
        "## What to mind",
        "\n".join(minded),
        "![Nine panels: events over time, sequence lengths, popularity, entropy, session "
        "lengths, time gaps, repeats, evaluation targets, missing features](card.png)",
        "The numbers behind the figure: [card.csv](card.csv).",
        "## Facts",
    ]
    for heading, rows in (
        ("How much", _amounts(facts)),
        ("Sequences", _sequences(facts)),
        ("Items and entropy", _items(facts, floors)),
        ("Features", _features(facts)),
    ):
        parts += [f"### {heading}", _table(rows, "fact")]
    parts += ["### Evaluation targets", _targets(facts)]
    parts += ["### Repetition", _repetition(facts)]
    parts += ["## Floors", _floors(floors)]
    parts += ["## Source", _table(_source(info), "source") if info else UNKNOWN]
    parts += ["## Preparation", _table(_settings(facts), "setting")]
    return "\n\n".join(parts) + "\n"


def _table(rows: Facts, head: str) -> str:
    return tidy.markdown(pd.DataFrame(list(rows), columns=[head, "value"]))


def _amounts(facts: CardFacts) -> Facts:
    counts = facts.counts
    yield "events", count(counts.events)
    yield "repeated lines left out", count(counts.dropped)
    for split, events in counts.by_split.items():
        words = f"{count(events)} ({percent(events / counts.events)})"
        yield f"events, {split}", words
    yield "users", count(counts.users)
    yield "users with train events", count(counts.users_in_train)
    yield "items in the catalogue, V", count(counts.items)
    yield "items with train events", count(counts.items_in_train)
    yield "cold items", count(counts.items - counts.items_in_train)
    yield "unique training positions, U", count(counts.unique_positions)
    yield "first and last event", f"{date(facts.first)}, {date(facts.last)}"
    cut = "none: the split is not by time" if facts.t1 is None else f"{date(facts.t1)} ({facts.t1})"
    yield "cut-off t1", cut


def _sequences(facts: CardFacts) -> Facts:
    yield "events of a user", _spread(facts.lengths, count)
    yield "sessions", count(facts.sessions.n)
    yield "events of a session", _spread(facts.sessions, count)
    if facts.repeats is None or facts.inside is None or facts.zero_gaps is None:
        yield "transitions", "none: no user has two events"
        return
    yield "transitions", count(facts.gaps.n)
    yield "transitions inside one session", percent(facts.inside)
    yield "time gap", _spread(facts.gaps, duration)
    yield "gaps of 0 s", percent(facts.zero_gaps)
    yield "repeats: the user had the item before", percent(facts.repeats.ever)
    yield "repeats: the very last item", percent(facts.repeats.within["1"])
    yield "repeats: an item of the last ten events", percent(facts.repeats.within["10"])
    shown = [f"{lag}: {percent(share)}" for lag, share in facts.repeats.within.items()]
    yield "repeats: an item of the last k events", "; ".join(shown)


def _items(facts: CardFacts, floors: pd.DataFrame) -> Facts:
    top = facts.popularity
    yield (
        f"train events of the top {TOP:.0%} ({count(top.top_items)} items)",
        percent(top.top_share),
    )
    yield "Gini of train events over items with some", f"{top.gini:.3f}"
    yield "entropy of train popularity", _nats(facts.unigram_entropy)
    known = floors[(floors["slice"] == "all") & (floors["floor"] == "markov")]
    for split, loss in zip(known["split"], known["cross_entropy"], strict=True):
        yield f"conditional entropy given the last item, at most ({split} floor)", _nats(loss)


def _features(facts: CardFacts) -> Facts:
    features = facts.features
    yield "feature tokens of an item", _spread(features.tokens, count)
    yield "items with more than T tokens", count(features.cut_items)
    yield "vectors", ", ".join(features.vectors) or "none"
    for kind, columns in (("item", features.missing), ("event", features.event_missing)):
        for name, share in columns.items():
            yield f"{kind} feature {name}: without a value", percent(share)
        if not columns:
            yield f"{kind} features", "the source has none"


def _targets(facts: CardFacts) -> str:
    rows = [
        {
            "split": half,
            "slice": name,
            "positions": count(part.positions),
            "share": percent(part.positions / slices["all"].positions) if part.positions else "0%",
            "users": count(part.users),
        }
        for half, slices in facts.targets.items()
        for name, part in slices.items()
    ]
    return tidy.markdown(pd.DataFrame(rows))


def _repetition(facts: CardFacts) -> str:
    unique = facts.counts.unique_positions
    if not unique:
        return "No training position."
    sizes = [10**power for power in range(4, 13) if 0.1 <= 10**power / unique <= 1000]
    rows = [
        {
            "D": count(size),
            "epochs": number(size / unique),
            "": "data-limited" if size > MANY_EPOCHS * unique else "",
        }
        for size in sorted({*sizes, unique, MANY_EPOCHS * unique})
    ]
    return tidy.markdown(pd.DataFrame(rows))


def _floors(floors: pd.DataFrame) -> str:
    if floors.empty:
        return "Not given: `behavior-scaling floors` measures them."
    rows = [
        {
            "split": row["split"],
            "slice": row["slice"],
            "floor": FLOORS[row["floor"]],
            "cross-entropy (nats)": _metric(row["cross_entropy"]),
            "recall@10": _metric(row["recall@10"]),
            "ndcg@10": _metric(row["ndcg@10"]),
            "positions": count(row["n_positions"]),
            "users": count(row["n_users"]),
        }
        for row in floors.to_dict("records")
    ]
    return tidy.markdown(pd.DataFrame(rows))


def _source(info: SourceInfo) -> Facts:
    yield "name", info.name
    yield "version", info.version
    yield "origin", info.origin
    yield "SHA-256 of the origin's file", info.sha256 or "not known"
    yield "verified", info.verified
    yield "licence", info.licence
    yield "citation", info.citation


def _settings(facts: CardFacts) -> Facts:
    for name, value in facts.settings.items():
        yield ("identity (SHA-256)" if name == "identity" else name), str(value)


def _spread(spread: Spread, word: Callable[[float], str]) -> str:
    if spread.mean is None or spread.greatest is None:
        return "none"
    shown = [f"{float(share):.0%} {word(value)}" for share, value in spread.quantiles.items()]
    mean = number(spread.mean) if word is count else word(spread.mean)
    return f"mean {mean}; quantiles {', '.join(shown)}; greatest {word(spread.greatest)}"


def _nats(value: float) -> str:
    return f"{value:.3f} nats (perplexity {number(math.exp(value))})"


def _metric(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else three_decimals(value)
