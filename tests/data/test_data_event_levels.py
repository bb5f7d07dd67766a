"""Levels of event features: bins by hand, tables by their tokens, files that do not fit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from behavior_scaling.data.errors import DataError
from behavior_scaling.data.event_columns import EventColumns, EventReader, open_event_columns
from behavior_scaling.data.event_levels import (
    CalendarLevels,
    CategoricalLevels,
    EventLevels,
    NumericLevels,
)
from behavior_scaling.data.features import code_of

CODEBOOK = 4096
NAN, INF = np.nan, np.inf


def tokens(feature: NumericLevels | CategoricalLevels, level: int) -> dict[int, float]:
    pairs = zip(feature.codes[level].tolist(), feature.weights[level].tolist(), strict=True)
    return {code: weight for code, weight in pairs if weight > 0}


def test_bins_of_a_number_by_hand() -> None:
    # Three distinct train values: each opens a bin; what lies beyond falls into the end bins.
    feature = NumericLevels.fit("n", np.array([1.0, NAN, 5.0, 1.0, 2.0, INF, -INF]), CODEBOOK)

    values = np.array([NAN, 1, 1.99, 2, 4.9, 5, 6, 1e308, INF, 0, -1e308, -INF])
    assert feature.levels(values).tolist() == [0, 1, 1, 2, 2, 3, 3, 3, 3, 1, 1, 1]
    assert feature.levels(values).dtype == np.uint16
    anchors = [{code_of(f"event n=anchor {k}", CODEBOOK): 1.0} for k in range(3)]
    assert [tokens(feature, k) for k in range(4)] == [
        {code_of("event n=<missing>", CODEBOOK): 1.0},
        *anchors,
    ]


def test_bins_hold_equal_shares_and_an_atom_has_its_own() -> None:
    rng = np.random.default_rng(0)
    spread = rng.lognormal(5, 3, 60_000)
    sample = np.concatenate([np.zeros(40_000), spread])
    feature = NumericLevels.fit("gap", sample, CODEBOOK)

    held = np.bincount(feature.levels(sample))
    assert held[0] == 0
    assert 30 < len(held) - 1 <= 64
    # The bin of the atom ends at the next quantile; the others hold a 63rd of the sample each.
    assert 40_000 <= held[1] < 42_000
    assert np.abs(held[2:-1] - 100_000 / 63).max() < 10
    # Outliers among the sample move no bin but the last.
    worse = NumericLevels.fit("gap", np.append(sample, [1e300] * 50), CODEBOOK)
    np.testing.assert_allclose(worse.edges[:-1], feature.edges[:-1], rtol=0.05)


def test_neighbouring_bins_share_anchors() -> None:
    # 64 bins on 8 anchors: bin i lies at 7 i / 63 = i / 9, so bins 0, 9, ... are anchors.
    feature = NumericLevels.fit("price", np.arange(64.0), CODEBOOK)

    assert len(feature.edges) == 64
    names = [code_of(f"event price=anchor {k}", CODEBOOK) for k in range(8)]
    for level in range(1, 65):
        low, ninths = divmod(level - 1, 9)
        wanted = {names[low]: 1 - ninths / 9}
        if ninths:
            wanted[names[low + 1]] = ninths / 9
        assert tokens(feature, level) == pytest.approx(wanted)


@pytest.mark.parametrize("sample", [[], [NAN, NAN], [INF, -INF]])
def test_a_number_that_train_never_has_is_missing_for_ever(sample: list[float]) -> None:
    feature = NumericLevels.fit("n", np.array(sample), CODEBOOK)

    assert feature.levels(np.array([NAN, 3.0, INF])).tolist() == [0, 0, 0]
    assert len(feature.codes) == 1


def test_categories_by_frequency_then_name() -> None:
    counts = {"b": 2, "a": 2, "c": 9, "d": 1}
    feature = CategoricalLevels.fit("type", counts, CODEBOOK)

    found = feature.levels_of(["c", "a", "b", "d", "e", None, "", "<missing>"])
    assert found.tolist() == [2, 3, 4, 5, 1, 0, 1, 1]
    assert found.dtype == np.uint16
    names = ["<missing>", "<other>", "c", "a", "b", "d"]
    assert [tokens(feature, k) for k in range(6)] == [
        {code_of(f"event type={name}", CODEBOOK): 1.0} for name in names
    ]


def test_rare_categories_share_a_level() -> None:
    counts = {f"{k:05d}": 10_000 - k for k in range(5_000)}
    feature = CategoricalLevels.fit("merchant", counts, CODEBOOK)

    assert feature.levels_of(["04095", "04096", "04999"]).tolist() == [4097, 1, 1]
    assert feature.codes.shape == feature.weights.shape == (4098, 2)


def test_the_calendar_is_that_of_datetime() -> None:
    rng = np.random.default_rng(1)
    times = np.append(rng.integers(-(2**33), 2**33, 500), [0, -1, 86_399, 86_400])
    calendar = CalendarLevels.of(CODEBOOK)

    for time, level in zip(times.tolist(), calendar.levels(times).tolist(), strict=True):
        at = datetime.fromtimestamp(time, tz=UTC)
        assert level == 24 * at.weekday() + at.hour
        assert calendar.codes[level].tolist() == [
            code_of(f"event calendar weekday={at.weekday()}", CODEBOOK),
            code_of(f"event calendar hour={at.hour}", CODEBOOK),
        ]
    assert (calendar.weights == 1).all()


def fitted() -> EventLevels:
    schema = (("price", "numeric"), ("type", "categorical"))
    samples = {
        "gap": np.array([NAN, 0.0, 60.0]),
        "price": np.array([1.0, 2.0, 3.0]),
        "type": {"view": 3, "buy": 1},
    }
    return EventLevels.fit(schema, samples, CODEBOOK)


def test_features_stand_side_by_side_in_order() -> None:
    events = fitted()

    assert events.names == ("gap", "calendar", "price", "type")
    assert np.diff(events.offsets).tolist() == [1 + 2, 168, 1 + 3, 2 + 2]
    made = events.levels(
        np.array([0, 7200]),
        np.array([NAN, 99.0]),
        {"price": np.array([2.5, NAN]), "type": np.array(["buy", None], dtype=object)},
    )
    assert made.dtype == np.uint16
    assert made.tolist() == [[0, 72, 2, 3], [2, 74, 0, 0]]
    row = events.offsets[3] + made[0, 3]
    assert events.codes[row, 0] == code_of("event type=buy", CODEBOOK)
    assert (events.codes.dtype, events.weights.dtype) == (np.int32, np.float32)
    assert events.codes.shape == events.weights.shape == (events.offsets[-1], 2)


@pytest.mark.parametrize("name", ["gap", "calendar", "price"])
def test_a_name_stands_once(name: str) -> None:
    schema = (("price", "numeric"), (name, "numeric"))
    with pytest.raises(DataError, match=f"event feature '{name}' twice"):
        EventLevels.fit(schema, {"gap": np.zeros(1), "price": np.zeros(1)}, CODEBOOK)


def columns_of(events: EventLevels, n: int) -> EventColumns:
    rng = np.random.default_rng(2)
    levels = rng.integers(0, np.diff(events.offsets), (n, 4)).astype(np.uint16)
    return EventColumns(levels, events.offsets, events.codes, events.weights, events.names)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    columns = columns_of(fitted(), 9)
    for name in ("levels", "offsets", "codes", "weights"):
        np.save(tmp_path / f"event_{name}.npy", getattr(columns, name))
    return tmp_path


def test_columns_come_back_from_their_files(folder: Path) -> None:
    wanted = columns_of(fitted(), 9)
    found = open_event_columns(folder, list(wanted.names))

    assert found.names == wanted.names
    for name in ("levels", "offsets", "codes", "weights"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("levels", None, "event_levels.npy: missing"),
        ("levels", np.zeros((9, 3), np.uint16), "event_levels.npy: has shape"),
        ("levels", np.zeros((9, 4), np.int64), "event_levels.npy: is <i8"),
        ("offsets", np.array([0, 179]), "event_offsets.npy: has shape"),
        ("codes", np.zeros((178, 2), np.int32), "event_codes.npy: has shape"),
        ("weights", np.zeros(179, np.float32), "event_weights.npy: is <f4 of 1"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    folder: Path, name: str, array: np.ndarray | None, message: str
) -> None:
    file = folder / f"event_{name}.npy"
    file.unlink()
    if array is not None:
        np.save(file, array)
    with pytest.raises(DataError, match=message):
        open_event_columns(folder, fitted().names)


def test_a_file_that_is_no_array_is_refused(folder: Path) -> None:
    (folder / "event_codes.npy").write_bytes(b"no array at all")
    with pytest.raises(DataError, match=r"event_codes.npy: no readable array"):
        open_event_columns(folder, fitted().names)


def test_events_are_read_as_rows_of_the_tables() -> None:
    columns = columns_of(fitted(), 9)
    read = EventReader(columns, ("type", "gap"))
    event = np.array([[8, 0, -1], [3, 3, -1]])

    found = read(event)

    assert found.dtype == np.int64
    for row, column in np.ndindex(event.shape):
        levels = columns.levels[event[row, column]]
        wanted = [columns.offsets[3] + levels[3], columns.offsets[0] + levels[0]]
        assert found[row, column].tolist() == ([0, 0] if event[row, column] < 0 else wanted)


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(DataError, match="'amount': these data have gap, calendar, price, type"):
        EventReader(columns_of(fitted(), 9), ("gap", "amount"))
