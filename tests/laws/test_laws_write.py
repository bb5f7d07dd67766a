"""Writing laws: rounding, refusal of NaN, and nothing half-written."""

import json
from pathlib import Path

import numpy as np
import pytest

from behavior_scaling.laws.arrays import LawsError
from behavior_scaling.laws.write import round_significant, write_laws


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(1 / 3, 0.33333333), (123456789.0, 123456790.0), (-2.0e-300 / 3, -6.6666667e-301), (0.0, 0.0)],
)
def test_eight_significant_digits(value: float, rounded: float) -> None:
    assert round_significant(value) == rounded


def test_written_laws_read_back_rounded(tmp_path: Path) -> None:
    laws = {
        "share": {"axis": "share", "fits": [{"x": (np.float64(1 / 3), np.int64(4), None, True)}]}
    }
    paths = write_laws(laws, tmp_path / "laws")
    assert [path.name for path in paths] == ["share.json"]
    read = json.loads(paths[0].read_text())
    assert read == {"axis": "share", "fits": [{"x": [0.33333333, 4, None, True]}]}
    assert [path.name for path in (tmp_path / "laws").iterdir()] == ["share.json"]


@pytest.mark.parametrize("bad", [float("nan"), np.float64("inf")])
def test_nan_is_refused_by_place_and_nothing_is_written(tmp_path: Path, bad: float) -> None:
    (tmp_path / "share.json").write_text("old")
    laws: dict[str, dict[str, object]] = {
        "a": {"fits": []},
        "share": {"fits": [{"value": 1.0}, {"value": bad}]},
    }
    with pytest.raises(LawsError, match=r"share\.fits\[1\]\.value"):
        write_laws(laws, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["share.json"]
    assert (tmp_path / "share.json").read_text() == "old"


def test_unknown_types_are_refused(tmp_path: Path) -> None:
    laws = {"share": {"fits": np.zeros(2)}}
    with pytest.raises(LawsError, match=r"share\.fits: ndarray"):
        write_laws(laws, tmp_path)


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_laws({"share": {"fits": []}}, tmp_path)
    old = (tmp_path / "share.json").read_text()

    def broken(text: str) -> object:
        return "something else"

    monkeypatch.setattr("behavior_scaling.laws.write.json.loads", broken)
    with pytest.raises(OSError, match=r"share\.json"):
        write_laws({"share": {"fits": [1]}}, tmp_path)
    assert (tmp_path / "share.json").read_text() == old
    assert [path.name for path in tmp_path.iterdir()] == ["share.json"]
