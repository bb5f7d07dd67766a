"""Studies made of parts: which files they may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from behavior_scaling.cli import main
from behavior_scaling.config import ConfigError, load_parts, load_study

ROOT = Path(__file__).parents[2]
QUICK = (ROOT / "config" / "quick.yaml").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study 'whole' and two that may be its parts; 'two' is taken from the whole."""
    named = "parts: [one.yaml, two.yaml]\n"
    (tmp_path / "whole.yaml").write_text(QUICK.replace("name: quick", "name: whole") + named)
    (tmp_path / "one.yaml").write_text(QUICK.replace("name: quick", "name: one"))
    (tmp_path / "two.yaml").write_text("extends: whole.yaml\nname: two\n")
    return tmp_path


def parts(folder: Path) -> list[str]:
    path = folder / "whole.yaml"
    return [part.name for part in load_parts(path, load_study(path)).values()]


def test_parts_are_the_studies_beside_in_their_order(folder: Path) -> None:
    assert parts(folder) == ["one", "two"]
    assert load_study(folder / "two.yaml").parts == ()  # not taken over by `extends`
    assert load_study(folder / "one.yaml").parts == ()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("[../one.yaml]", "parts names study files beside this one, not '../one.yaml'"),
        ("[one.yaml, one.yaml]", "parts names a file twice: one.yaml, one.yaml"),
        ("one.yaml", "parts: Input should be a valid tuple"),
        ("[none.yaml]", "parts: .*none.yaml is no file"),
        ("[twin.yaml]", "twin.yaml is named 'whole', as another study here is"),
        ("[one.yaml, again.yaml]", "again.yaml is named 'one', as another study here is"),
        ("[nested.yaml]", "nested.yaml has parts itself: one level only"),
        ("[wrong.yaml]", "wrong.yaml: this study cannot be used"),
    ],
)
def test_other_files_are_refused_by_name(folder: Path, named: str, said: str) -> None:
    texts = {
        "twin": QUICK.replace("name: quick", "name: whole"),
        "again": QUICK.replace("name: quick", "name: one"),
        "nested": QUICK.replace("name: quick", "name: nested") + "parts: [one.yaml]\n",
        "wrong": "name: wrong\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    whole = folder / "whole.yaml"
    whole.write_text(whole.read_text().replace("[one.yaml, two.yaml]", named))
    with pytest.raises(ConfigError, match=said):
        parts(folder)


def test_parts_to_be_run_first_are_printed_unless_they_are_shipped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["parts", "--config", str(folder / "whole.yaml")]
    assert main(command) == 0
    assert capsys.readouterr().out.split() == [str(folder / "one.yaml"), str(folder / "two.yaml")]
    assert main([*command, "--runs", "archive"]) == 0
    assert capsys.readouterr().out == ""
