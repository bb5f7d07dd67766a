"""The report of a study made of parts: which data show an axis, and that this is said."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from behavior_scaling.laws.worlds import fit_worlds
from behavior_scaling.laws.write import write_laws
from behavior_scaling.report.claims import judge, ours_text
from behavior_scaling.report.claims_file import load_claims
from behavior_scaling.report.inputs import ReportError, Results, load_results
from behavior_scaling.report.numbers_laws import summary_numbers
from behavior_scaling.report.numbers_parts import part_numbers
from behavior_scaling.report.tables import make_tables
from behavior_scaling.report.worlds import NONE, across_worlds, repeated_data, world_laws

from ..laws.laws_worlds import runs, world
from .report_drawing import draw, words

LOSS = "validation/restored/all/cross_entropy"


def part(root: Path, like: Path, name: str, source: str) -> dict[str, str]:
    """A copy of a results folder as another study on other data."""
    folder = Path(shutil.copytree(like, root / name))
    table = pd.read_parquet(folder / "runs.parquet").assign(study=name, source=source)
    table.to_parquet(folder / "runs.parquet")
    return {"study": name, "folder": name, "floors": f"{name}/floors.json"}


@pytest.fixture
def whole(results_dir: Path) -> Path:
    """The synthetic study without its negatives; a part has them, with a floor of its own."""
    root = results_dir.parent
    rows = [
        part(root, results_dir, "tiny-world", "world-middle"),
        part(root, results_dir, "tiny-git", "git-activity"),
    ]
    floors = json.loads((root / "tiny-git" / "floors.json").read_text())
    floors["validation"]["all"]["markov"]["cross_entropy"] = 6.0
    (root / "tiny-git" / "floors.json").write_text(json.dumps(floors))
    table = pd.read_parquet(results_dir / "runs.parquet")
    table[table["axis"] != "negatives"].to_parquet(results_dir / "runs.parquet")
    for law in ("negatives", "surface"):
        (results_dir / "laws" / f"{law}.json").unlink()
    (results_dir / "parts.json").write_text(json.dumps(rows))
    return results_dir


def load(folder: Path) -> Results:
    return load_results(folder, folder / "floors.json")


def test_an_axis_is_shown_by_the_study_or_by_the_part_that_ran_it(whole: Path) -> None:
    results = load(whole)

    assert [one.study for one in results.parts] == ["tiny-world", "tiny-git"]
    assert [one.study for one in results.worlds] == ["tiny-world"]
    assert results.for_axis("allocation") is results
    assert results.for_axis("negatives").study == "tiny-git"  # a world only where nothing else is
    assert (results.other_source("allocation"), results.other_source("negatives")) == (
        "", "git-activity",
    )  # fmt: skip


def test_the_part_with_most_cells_of_an_axis_shows_it(whole: Path) -> None:
    path = whole / "runs.parquet"
    table = pd.read_parquet(path)
    extra = pd.read_parquet(whole.parent / "tiny-git" / "runs.parquet")
    few = extra[extra["axis"] == "negatives"].head(2).assign(study="quick", source="ml-100k")
    pd.concat([table, few]).to_parquet(path)

    assert load(whole).for_axis("negatives").study == "tiny-git"


def test_a_world_stands_in_only_where_nothing_else_ran_the_axis(whole: Path) -> None:
    rows = json.loads((whole / "parts.json").read_text())
    (whole / "parts.json").write_text(json.dumps(rows[:1]))

    assert load(whole).for_axis("negatives").study == "tiny-world"


def test_an_axis_that_nobody_ran_is_the_studys_own(whole: Path) -> None:
    (whole / "parts.json").write_text("[]")
    results = load(whole)

    assert results.for_axis("negatives") is results
    assert results.shown is results


def test_figures_name_the_data_of_a_part_and_use_its_floors(whole: Path) -> None:
    figure, table = draw("negatives", whole)

    assert "data: git-activity" in words(figure)
    markov = table[(table["kind"] == "floor") & (table["label"] == "markov")]
    assert 6.0 in set(markov["y"])  # by loss; recall@10 has its own
    assert 6.41 not in set(markov["y"])
    assert "data:" not in words(draw("allocation", whole)[0])


@pytest.mark.parametrize("name", ["agreement", "optima"])
def test_figures_of_several_axes_name_the_part_at_its_axis(whole: Path, name: str) -> None:
    figure, _ = draw(name, whole)
    assert "git-activity" in words(figure)


def test_tables_and_numbers_say_what_data_they_are_of(whole: Path) -> None:
    make_tables(whole, whole / "floors.json")
    optima = pd.read_csv(whole / "tables" / "optima.csv")
    by_axis = optima.groupby("axis")["source"].unique().map(list).to_dict()

    assert by_axis["negatives"] == ["git-activity"]
    assert by_axis["allocation"] == ["ml-100k"]
    of_loss = optima[(optima["axis"] == "negatives") & (optima["metric"] == LOSS)]
    assert set(of_loss["floor_value"]) == {6.0}
    assert all(file == "../tiny-git/laws/negatives.json" for file in of_loss["file"])
    said = (whole / "tables" / "optima.md").read_text()
    assert "git-activity. Floor to beat" in said
    assert set(pd.read_csv(whole / "tables" / "runs.csv")["study"]) == {
        "quick", "tiny-world", "tiny-git",
    }  # fmt: skip
    negatives = summary_numbers(load(whole))["negatives.loss"]
    assert negatives["text"].endswith("(on git-activity)")
    assert negatives["file"] == "../tiny-git/laws/negatives.json"


def test_every_part_has_its_own_numbers(whole: Path) -> None:
    results = load(whole)
    numbers = part_numbers(results)

    assert {key.split(".")[1] for key in numbers} == {"tiny_world", "tiny_git"}
    assert numbers["parts.tiny_git.share.loss"]["text"].startswith("s* at 3×10¹⁰: ")
    assert numbers["parts.tiny_git.share.loss"]["file"] == "../tiny-git/laws/share.json"
    own = part_numbers(dataclasses.replace(results, study="tiny"))
    assert {key.split(".")[1] for key in own} == {"world", "git"}
    assert part_numbers(dataclasses.replace(results, parts=())) == {}


def test_worlds_have_numbers_of_what_was_planted(worlds: Path) -> None:
    numbers = part_numbers(load(worlds))

    assert numbers["worlds.study_3_9.entropy"]["text"] == "3.900"
    assert numbers["worlds.study_3_9.known"]["value"] == pytest.approx(
        0.161, abs=1e-3
    )  # .322 in N and in D
    assert numbers["worlds.across.known"]["value"] == pytest.approx(-0.01, abs=2e-4)
    assert numbers["worlds.repeated.worth"]["value"] == pytest.approx(6.0, rel=0.05)
    assert len(numbers["worlds.study_3_9.gaps"]["value"]) == 3


def test_claims_of_a_parts_axis_say_whose_value_it_is(whole: Path) -> None:
    judged = {item.claim.id: item for item in judge(load(whole), load_claims())}

    assert judged["negatives_loss"].source == "git-activity"
    assert judged["negatives_loss"].found.estimate is not None
    assert judged["allocation_n"].source == ""
    assert ours_text(judged["negatives_loss"])


def test_damaged_parts_are_named(whole: Path) -> None:
    (whole / "parts.json").write_text('[{"study": "x"}]')
    with pytest.raises(ReportError, match=r"parts\.json: not what `behavior-scaling parts` writes"):
        load(whole)


@pytest.fixture
def worlds(whole: Path) -> Path:
    """The laws of four planted worlds, one of them run again on fewer events."""
    planted = [
        world(h, runs(h, power=0.4 - 0.02 * h, source=f"world-{h}"), f"study {h}")
        for h in (2.5, 3.9, 4.6, 5.5)
    ]
    few = runs(3.9, power=0.4 - 0.02 * 3.9, unique=2e4, worth=6, source="world-3.9")
    again = dataclasses.replace(planted[1], study="repeated", runs=few)
    write_laws({"worlds": fit_worlds([*planted, again])}, whole / "laws")
    return whole


def test_the_entropy_figure_shows_every_world_and_the_trend(worlds: Path) -> None:
    results = load(worlds)
    figure, table = draw("entropy", worlds)

    assert [one.study for one in world_laws(results.world_rows)] == [
        "study 2.5", "study 3.9", "repeated", "study 4.6", "study 5.5",
    ]  # fmt: skip
    known = next(one for one in across_worlds(results.across) if one.of == "known")
    assert known.slope.value == pytest.approx(-0.01, abs=2e-4)
    assert repeated_data(results.repetition_rows)[0].worth.value == pytest.approx(6.0, rel=0.05)
    assert (table["kind"] == "best").sum() == 15
    text = words(figure)
    assert "least possible 0.0417" in text
    assert re.search(r"repeated against study 3\.9: R\* (5\.9|6)", text)
    make_tables(worlds, worlds / "floors.json")
    said = (worlds / "tables" / "worlds.md").read_text()
    assert "rank correlation −1.00, p = 0.0417" in said
    judged = {item.claim.id: item for item in judge(results, load_claims())}
    assert judged["entropy_exponent"].found.origin is not None
    assert judged["entropy_exponent"].found.origin.file == "laws/worlds.json"


def test_a_study_without_worlds_says_so(results_dir: Path) -> None:
    assert NONE in words(draw("entropy", results_dir)[0])
