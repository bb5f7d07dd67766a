"""The paper: same bytes twice, and a placeholder without a number is an error by name."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from behavior_scaling.report.inputs import ReportError
from behavior_scaling.report.numbers import make_numbers
from behavior_scaling.report.paper import make_paper, render
from behavior_scaling.report.tables import make_tables

ROOT = Path(__file__).parents[2]
TEMPLATE, QUICK = ROOT / "paper" / "paper.md", ROOT / "config" / "quick.yaml"
DISCUSSIONS = sorted((ROOT / "paper" / "discussion").glob("*.md"))


@pytest.fixture(scope="module")
def finished(shared_results: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic study with figures, tables and numbers."""
    copy = Path(shutil.copytree(shared_results, tmp_path_factory.mktemp("paper") / "quick"))
    make_tables(copy)
    make_numbers(copy, copy / "floors.json", QUICK)
    shutil.copytree(drawn, copy / "figures")
    return copy


def test_the_shipped_template_gives_the_same_pdf_twice(finished: Path, tmp_path: Path) -> None:
    first = make_paper(finished, TEMPLATE, tmp_path / "a.pdf").read_bytes()
    second = make_paper(finished, TEMPLATE, tmp_path / "b.pdf").read_bytes()
    assert first.startswith(b"%PDF")
    assert first == second
    assert b"CreationDate" not in first


def test_the_shipped_template_types_no_result_by_hand(finished: Path) -> None:
    numbers = json.loads((finished / "numbers.json").read_text())["numbers"]
    source = TEMPLATE.read_text()
    for key in ("best.loss", "runs.total", "data.items", "allocation.exponent_n"):
        assert numbers[key]["text"] not in source
        assert numbers[key]["text"] in render(finished, TEMPLATE)
    assert "{{" not in render(finished, TEMPLATE)


@pytest.mark.parametrize("template", [TEMPLATE, *DISCUSSIONS], ids=lambda file: file.name)
def test_the_template_states_only_numbers_of_definitions(template: Path) -> None:
    stripped = (
        r"\{\{.*?\}\}", r"\{%.*?%\}", r"arXiv \d+\.\d+", r"width=\d+%", "@10", "10¹⁵", "10¹⁹",
    )  # fmt: skip
    source = re.sub("|".join(stripped), "", template.read_text())
    known = {"0", "1", "2", "4", "6", "8", "10", "11", "16", "24", "32", "20", "90", "95"}
    assert set(re.findall(r"\d+(?:\.\d+)?", source)) <= known


def test_a_section_of_nothing_is_left_out(finished: Path, tmp_path: Path) -> None:
    text = "\n".join(
        f'{{% if has("{key}") %}}\n{word}\n{{% endif %}}'
        for key, word in (("runs.share_done", "share"), ("tables.none", "no"))
    )
    assert render(finished, write(tmp_path, text)) == "share\n"
    assert "make figures STUDY=config/quick.yaml" in render(finished, TEMPLATE)


def test_settings_and_cost_are_generated(finished: Path) -> None:
    numbers = json.loads((finished / "numbers.json").read_text())["numbers"]
    said = {key: numbers[key]["text"] for key in numbers}
    assert said["settings.optimizer.lr.base"] == "0.0177"
    assert said["settings.optimizer.lr.budget"] == "−0.15"
    assert said["settings.axes.batch_as_paper"] == "none"
    assert said["settings.own_items"] == "past"
    assert said["settings.sizes"] == "7 of 2,600 to 150,000"
    assert said["settings.ladder_widths"] == "4 to 128"
    assert numbers["settings.data.context"]["file"] == "config/quick.yaml"
    assert numbers["settings.data.context"]["key"] == "data.context"
    assert said["source.licence"].startswith("GroupLens")
    assert said["source.parts"] == "none"
    runs = pd.read_parquet(finished / "runs.parquet").drop_duplicates("id")
    assert numbers["cost.hours"]["value"] == pytest.approx(runs["seconds"].sum() / 3600)
    assert said["cost.flops_executed"] == "not recorded"
    assert "not shipped" in said["cost.machine"]


def write(folder: Path, text: str) -> Path:
    template = folder / "t.md"
    template.write_text(text)
    (folder / "t.typ").write_text("#set document(date: none)\n")
    return template


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n{{ runs.totl }}", r"t\.md, line 2: placeholder \{\{ runs\.totl \}\} has no number"),
        ("{{ tables.optimum }}", r"line 1: placeholder \{\{ tables\.optimum \}\}"),
        ("\n\n{{ nothing }}", r"line 3: 'nothing' is undefined"),
        ("{{ runs }}", r"placeholder \{\{ runs \}\} is only the start of a name"),
        ("{{ runs.total", r"t\.md, line 1: "),
    ],
)
def test_a_missing_placeholder_is_named(
    finished: Path, tmp_path: Path, text: str, message: str
) -> None:
    out = tmp_path / "paper.pdf"
    with pytest.raises(ReportError, match=message):
        make_paper(finished, write(tmp_path, text), out)
    assert not out.exists()


INCLUDE = '{% include "discussion/" ~ study.name ~ ".md" ignore missing %}'


def test_a_study_s_discussion_is_set_where_there_is_one(finished: Path, tmp_path: Path) -> None:
    template = write(tmp_path, f"before\n{INCLUDE}\nafter")
    assert render(finished, template) == "before\nafter"
    (tmp_path / "discussion").mkdir()
    discussion = tmp_path / "discussion" / "quick.md"
    discussion.write_text('{% if has("runs.total") %}\nruns: {{ runs.total }}\n{% endif %}\n')
    total = json.loads((finished / "numbers.json").read_text())["numbers"]["runs.total"]["text"]
    assert render(finished, template) == f"before\nruns: {total}\n\nafter".replace("\n\n", "\n")
    discussion.write_text("one\n{{ runs.totl }}\n")
    with pytest.raises(ReportError, match=r"quick\.md, line 2: placeholder \{\{ runs\.totl \}\}"):
        render(finished, template)
    discussion.write_text("one\n\n{{ runs.total\n")
    with pytest.raises(ReportError, match=r"quick\.md, line \d"):
        render(finished, template)


def test_the_shipped_template_takes_a_study_s_discussion() -> None:
    assert INCLUDE in TEMPLATE.read_text()


def test_numbers_are_printed_as_they_are(finished: Path, tmp_path: Path) -> None:
    text = render(finished, write(tmp_path, "{{ allocation.loss }}"))
    assert text.startswith("N\\* at 10¹⁰: ")


def test_what_must_be_made_first_is_named(finished: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "quick"))
    (copy / "figures" / "share.svg").unlink()
    template = write(tmp_path, "text")
    with pytest.raises(ReportError, match=r"share\.svg: missing; draw the figures first"):
        make_paper(copy, template, tmp_path / "paper.pdf")
    (tmp_path / "t.typ").unlink()
    with pytest.raises(ReportError, match=r"t\.typ: missing"):
        make_paper(copy, template, tmp_path / "paper.pdf")
    (copy / "tables" / "runs.md").unlink()
    with pytest.raises(ReportError, match="run `behavior-scaling tables` first"):
        render(copy, template)
    (copy / "numbers.json").unlink()
    with pytest.raises(ReportError, match="run `behavior-scaling numbers` first"):
        render(copy, template)


def test_text_that_cannot_be_set_is_an_error_of_the_template(
    finished: Path, tmp_path: Path
) -> None:
    template = write(tmp_path, "![a figure](absent.svg)")
    with pytest.raises(ReportError, match=r"t\.md: typst cannot set the paper"):
        make_paper(finished, template, tmp_path / "paper.pdf")
