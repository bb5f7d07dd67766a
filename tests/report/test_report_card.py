"""The data card: its table agrees with the facts, its text names them, its rules speak in time."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.cli import main
from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.baselines import floors
from behavior_scaling.data.card import CardFacts, Features, Repeats, card_facts
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.sequence_counts import Slice
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables
from behavior_scaling.report import style
from behavior_scaling.report.card import card_markdown, make_card
from behavior_scaling.report.card_figure import draw
from behavior_scaling.report.card_mind import what_to_mind
from behavior_scaling.report.card_rows import card_rows
from behavior_scaling.report.card_words import duration, read_floors

from . import report_drawing

NOTHING = read_floors(None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    rng = np.random.default_rng(5)
    n = 3000
    events = pd.DataFrame(
        {
            "user_id": rng.integers(0, 80, n),
            "item_id": (40 * rng.random(n) ** 2).astype(int),
            "timestamp": 1_500_000_000 + np.sort(rng.integers(0, 40_000, n)) ** 2 // 300,
            "action": np.where(rng.random(n) < 0.3, None, "add"),
        }
    )
    kinds = [None if item % 4 == 0 else f"kind {item % 3}" for item in range(40)]
    items = pd.DataFrame({"item_id": range(40), "kind": kinds})
    schema = FeatureSchema((("kind", "categorical"),), (("action", "categorical"),))
    return prepare_tables(
        Tables(events, items, schema),
        DataConfig(source="tiny", tokens=4, least_targets=0),
        tmp_path_factory.mktemp("card") / "tiny",
    )


@pytest.fixture(scope="module")
def facts(dataset) -> CardFacts:
    return card_facts(dataset)


@pytest.fixture(scope="module")
def floors_file(dataset, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("floors") / "floors.json"
    file.write_text(json.dumps(floors(dataset)))
    return file


def drawn(facts: CardFacts, table: pd.DataFrame) -> list[tuple[str, object]]:
    """Titles and panels."""
    with style.applied():
        figure = draw(facts, table)
    titles = [text.get_text() for text in figure.texts if text.get_weight() == "bold"]
    return list(zip(titles, figure.axes, strict=False))


def test_table_agrees_with_the_facts(facts, floors_file, tmp_path) -> None:
    given = read_floors(floors_file)
    make_card(facts, given, None, tmp_path)
    table = pd.read_csv(tmp_path / "card.csv")
    of = dict(list(table.groupby("panel")))

    for split, events in facts.timeline.events.items():
        assert of["events"][of["events"]["series"] == split]["y"].tolist() == events
    for panel, spread in (("lengths", facts.lengths), ("sessions", facts.sessions)):
        bins = of[panel][of[panel]["series"] == "bins"]
        assert [tuple(row) for row in bins[["x", "x_end", "y"]].to_numpy()] == spread.bins
    assert of["gaps"]["y"].sum() == pytest.approx(1)
    assert of["gaps"]["n"].tolist() == [count for _, _, count in facts.gaps.bins]
    assert of["popularity"]["x"].tolist() == facts.popularity.ranks
    assert of["popularity"]["y"].tolist() == facts.popularity.events
    assert facts.repeats is not None
    assert of["repeats"]["y"].tolist() == pytest.approx(
        [*facts.repeats.within.values(), facts.repeats.ever]
    )
    missing = dict(zip(of["missing"]["label"], of["missing"]["y"], strict=True))
    assert missing == pytest.approx(facts.features.missing | facts.features.event_missing)
    for row in of["targets"].to_dict("records"):
        part = facts.targets[row["series"]][row["label"]]
        assert (row["n"], row["users"]) == (part.positions, part.users)
        assert row["y"] == pytest.approx(
            part.positions / facts.targets[row["series"]]["all"].positions
        )
    whole = given[(given["split"] == "validation") & (given["slice"] == "all")]
    expected = [np.log(facts.counts.items), facts.unigram_entropy]
    expected += whole[whole["floor"].isin(["unigram", "markov"])]["cross_entropy"].tolist()
    assert of["entropy"]["y"].tolist() == pytest.approx(expected)


def test_no_panel_is_empty(facts, floors_file) -> None:
    panels = drawn(facts, card_rows(facts, read_floors(floors_file)))
    assert len(panels) == 9
    for title, axes in panels:
        marks = [mark for mark in (*axes.lines, *axes.patches) if mark.get_gid()]
        assert marks, title
        assert axes.get_xlabel() or axes.texts, title


def test_what_is_absent_is_said_and_not_drawn(facts) -> None:
    bare = dataclasses.replace(
        facts,
        features=dataclasses.replace(facts.features, missing={}, event_missing={}),
        repeats=None,
        inside=None,
        zero_gaps=None,
        gaps=dataclasses.replace(facts.gaps, n=0, mean=None, quantiles={}, greatest=None, bins=[]),
    )
    table = card_rows(bare, NOTHING)
    panels = dict(drawn(bare, table))
    for title, words in (
        ("Missing features", "the source has no item feature the source has no event feature"),
        ("Repeats", "no user has two events"),
        ("Time gaps", "no user has two events"),
    ):
        axes = panels[title]
        assert not axes.lines
        assert not axes.patches
        assert " ".join(" ".join(text.get_text() for text in axes.texts).split()) == words
    assert "floors were not given" in [
        text.get_text() for text in panels["Entropy and floors"].texts
    ]
    text = card_markdown(bare, NOTHING, None)
    assert "| item features | the source has none |" in text
    assert "| transitions | none: no user has two events |" in text
    assert "Not given: `behavior-scaling floors` measures them." in text
    assert "No registered source has this name" in text


def test_missing_columns_beyond_the_room_are_counted(facts) -> None:
    many = {f"column {place}": place / 20 for place in range(9)}
    wide = dataclasses.replace(facts, features=dataclasses.replace(facts.features, missing=many))
    axes = dict(drawn(wide, card_rows(wide, NOTHING)))["Missing features"]
    shown = [text.get_text() for text in axes.texts]
    assert "column 8 (item)" in shown
    assert "column 1 (item)" not in shown
    assert "4 columns with less are not drawn" in shown


def test_text_names_every_fact(facts, floors_file) -> None:
    info = sources.get(DataConfig(source="ml-100k")).info
    given = read_floors(floors_file)
    text = card_markdown(facts, given, info).replace("\\", "")
    counts = facts.counts
    for name, value in (
        ("events", counts.events), ("users", counts.users), ("sessions", facts.sessions.n),
        ("items in the catalogue, V", counts.items), ("repeated lines left out", counts.dropped),
        ("users with train events", counts.users_in_train),
        ("items with train events", counts.items_in_train), ("transitions", facts.gaps.n),
        ("cold items", counts.items - counts.items_in_train),
        ("unique training positions, U", counts.unique_positions),
        ("items with more than T tokens", facts.features.cut_items),
    ):  # fmt: skip
        assert f"| {name} | {value:,} |" in text
    for split, events in counts.by_split.items():
        assert f"| events, {split} | {events:,} (" in text
    for name, value in facts.settings.items():
        words = "identity (SHA-256)" if name == "identity" else name
        assert f"| {words} | {value} |" in text
    for half, slices in facts.targets.items():
        for name, part in slices.items():
            assert f"| {half} | {name} | {part.positions:,} |" in text
    for name in ("events of a user", "events of a session", "time gap",
                 "feature tokens of an item", "repeats: an item of the last k events"):  # fmt: skip
        assert f"| {name} | " in text
    assert "| item feature kind: without a value | 25% |" in text
    assert "| event feature action: without a value | " in text
    cut = pd.Timestamp(facts.t1, unit="s").date()
    assert f"| cut-off t1 | {cut} ({facts.t1}) |" in text
    assert f"Gini of train events over items with some | {facts.popularity.gini:.3f}" in text
    assert f"{facts.unigram_entropy:.3f} nats" in text
    for row in given.to_dict("records"):
        assert f"| {row['split']} | {row['slice']} | " in text
    for value in (info.licence, info.citation, info.version, info.origin):
        assert value in text


def test_epochs_of_budgets(facts) -> None:
    text = card_markdown(facts, NOTHING, None)
    unique = facts.counts.unique_positions
    assert f"| {unique:,} | 1.00 |  |" in text
    assert f"| {4 * unique:,} | 4.00 |  |" in text
    assert f"| 100,000 | {100_000 / unique:.1f} | data-limited |" in text


def quiet(facts: CardFacts) -> CardFacts:
    """Numbers that no rule minds."""
    usual = Slice(9000, 2000)
    return dataclasses.replace(
        facts,
        inside=0.3,
        zero_gaps=0.1,
        repeats=Repeats(0.2, {"10": 0.05}),
        counts=dataclasses.replace(facts.counts, events=10**6, items=20_000),
        lengths=dataclasses.replace(
            facts.lengths, greatest=900, quantiles={"0.5": 60, "0.95": 300}
        ),
        popularity=dataclasses.replace(facts.popularity, top_share=0.1),
        targets={
            half: dict.fromkeys(facts.targets[half], usual)
            | {"all": Slice(400_000, 9000)}
            for half in facts.targets
        },
        features=Features(facts.features.tokens, 3, [], {"kind": 0.1}, {}),
    )  # fmt: skip


def change(**parts: object) -> object:
    """A change of a card's facts by their names; a dictionary changes the part's own fields."""

    def apply(facts: CardFacts) -> CardFacts:
        new = {
            name: dataclasses.replace(getattr(facts, name), **value)
            if isinstance(value, dict) and dataclasses.is_dataclass(getattr(facts, name))
            else getattr(facts, name) | value
            if isinstance(value, dict)
            else value
            for name, value in parts.items()
        }
        return dataclasses.replace(facts, **new)

    return apply


COLD = {"all": Slice(10_000, 2000), "cold_item": Slice(3100, 1500)}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (change(inside=0.96), "96% of transitions lie inside one session"),
        (change(zero_gaps=0.5), "50% of transitions take no time"),
        (change(lengths={"greatest": 20_000}), "One user has 2% of all events"),
        (change(lengths={"quantiles": {"0.5": 3, "0.95": 30}}), "at most 30 events"),
        (change(lengths={"quantiles": {"0.5": 256, "0.95": 900}}), "at least 256 events"),
        (change(repeats=Repeats(0.5, {"10": 0.2})), "recency is a strong floor"),
        (change(repeats=Repeats(0.5, {"10": 0.01})), "told by a long memory"),
        (change(repeats=Repeats(0.0, {"10": 0.0})), "hardly any item twice"),
        (change(settings={"split": "last_n"}), "The split is 'last_n'"),
        (change(counts={"by_split": {"context": 77}}), "77 events before the cut"),
        (change(targets={"test": COLD | {
            "session_start": Slice(499, 200), "unseen_user": Slice(600, 99)}}),
         "session starts (499 positions, 200 users) and unseen users (600 positions, 99 users)"),
        (change(targets={"test": {name: Slice(9000, 900) for name in (
            "all", "session_start", "cold_item", "unseen_user")}}), "900 in test: intervals"),
        (change(targets={"test": COLD | {name: Slice(900, 900) for name in (
            "session_start", "unseen_user")}}), "2.2% of validation and 31% of test targets"),
        (change(targets={"test": {name: Slice(9000, 1000) for name in (
            "all", "session_start", "cold_item", "unseen_user")}}),
         "Users without train events have 2.2% of validation and 100% of test targets"),
        (change(features={"missing": {"item_id": 0.0}}), "no feature but their id"),
        (change(features={"event_missing": {"price": 0.31}}), "without a value: price (31%)"),
        (change(features={"cut_items": 2000}), "2,000 items have more than T = 4"),
        (change(popularity={"top_share": 0.4}), "make 40% of train events"),
        (change(counts={"items": 9000}), "9,000 items: the full softmax is cheap"),
    ],
)  # fmt: skip
def test_each_rule_speaks_when_its_number_calls(facts, changed, words) -> None:
    before = what_to_mind(quiet(facts), NOTHING)
    assert len(before) == 1  # U is always said
    assert before[0].startswith(f"One epoch is U = {facts.counts.unique_positions:,} positions")
    after = " ".join(what_to_mind(changed(quiet(facts)), NOTHING))
    assert words not in " ".join(before)
    assert words in after


def test_floors_are_minded(facts, floors_file) -> None:
    given = read_floors(floors_file)
    whole = given[(given["split"] == "validation") & (given["slice"] == "all")]
    loss = dict(zip(whole["floor"], whole["cross_entropy"], strict=True))
    said = what_to_mind(quiet(facts), given)
    assert f"Markov floor of {loss['markov']:.2f} nats" in said[-1]
    drifted = dataclasses.replace(quiet(facts), unigram_entropy=loss["unigram"] - 0.5)
    assert "costs 0.500 nats more on validation" in " ".join(what_to_mind(drifted, given))


def test_floors_of_another_form_are_refused(tmp_path) -> None:
    with pytest.raises(DataError, match=r"missing; run `behavior-scaling floors` first"):
        read_floors(tmp_path / "none.json")
    for text in ("{", '{"validation": {"markov": {"recall@10": 0.1}}}', "[1]"):
        file = tmp_path / "floors.json"
        file.write_text(text)
        with pytest.raises(DataError, match=r"not what `behavior-scaling floors` writes"):
            read_floors(file)


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0, 59, 150, 7200, 86_400, 63_115_200)] == [
        "0 s", "59 s", "2.5 min", "2 h", "1 d", "2 y",
    ]  # fmt: skip


def test_the_command_writes_the_same_card_again(dataset, floors_file, tmp_path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        asked = ["--data", str(dataset.path), "--floors", str(floors_file), "--out", str(folder)]
        assert main(["card", *asked]) == 0
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names == [["card.csv", "card.md", "card.png"]] * 2
    for name in names[0]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    assert "](card.png)" in (folders[0] / "card.md").read_text()


def test_the_command_needs_no_torch(dataset, tmp_path) -> None:
    code = (
        "import sys\n"
        "from behavior_scaling.cli import main\n"
        f"status = main(['card', '--data', {str(dataset.path)!r}, '--out', {str(tmp_path)!r}])\n"
        "sys.exit(status or 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "card.md").is_file()


def test_words_of_the_figure(facts, floors_file) -> None:
    with style.applied():
        figure = draw(facts, card_rows(facts, read_floors(floors_file)))
    said = report_drawing.words(figure)
    for words in ("Events over time", "3,000 events", "Markov on validation", "open a session"):
        assert words in said
