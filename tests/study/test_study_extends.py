"""A study that takes its blocks from another one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from behavior_scaling.config import ConfigError, load_study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.yaml"
    path.write_text((ROOT / "config" / "quick.yaml").read_text())
    return path


def extending(base: Path, text: str) -> Path:
    path = base.with_name("mine.yaml")
    path.write_text(text)
    return path


def test_own_blocks_replace_whole_ones(base: Path) -> None:
    mine = extending(base, "extends: base.yaml\nname: mine\ndata: {source: ml-1m, context: 128}\n")
    study, other = load_study(mine), load_study(base)
    assert (study.name, study.title) == ("mine", other.title)
    assert (study.data.source, study.data.context) == ("ml-1m", 128)
    assert study.data.tokens == 24  # the default: of the other's data nothing is left
    unchanged = study.model_copy(update={"name": other.name, "data": other.data})
    assert unchanged == other


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extends: none.yaml\nname: mine\n", "none.yaml is no file"),
        ("extends: ../base.yaml\nname: mine\n", "names a study file beside it"),
        ("extends: [base.yaml]\nname: mine\n", "names a study file beside it"),
        ("extends: base.yaml\n", "needs a name of its own"),
        ("extends: mine.yaml\nname: mine\n", "extends another file itself: one level only"),
        ("extends: list.yaml\nname: mine\n", "a mapping of keys, not list"),
        ("extends: base.yaml\nname: mine\ndata: {sorce: ml-1m}\n", "data.sorce: Extra inputs"),
        ("extends: base.yaml\nname: mine\nextend: 1\n", "extend: Extra inputs"),
    ],
)
def test_what_cannot_be_extended_is_refused(base: Path, text: str, says: str) -> None:
    base.with_name("list.yaml").write_text("[1]\n")
    with pytest.raises(ConfigError, match=says) as refused:
        load_study(extending(base, text))
    assert "mine.yaml" in str(refused.value) or "list.yaml" in str(refused.value)


@pytest.mark.parametrize("name", ["paper-yambda-5b", "paper-yambda-500m"])
def test_the_second_choice_changes_the_data_alone(name: str) -> None:
    path = ROOT / "config" / f"{name}.yaml"
    assert set(yaml.safe_load(path.read_text())) == {"extends", "name", "title", "data"}
    paper, other = load_study(ROOT / "config" / "paper.yaml"), load_study(path)
    assert (other.data.context, other.data.tokens) == (256, 24)
    same = {"name": paper.name, "title": paper.title, "data": paper.data}
    assert other.model_copy(update=same) == paper
