"""Promoted figures and the README's block: what changed is found, what did not is left alone."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from behavior_scaling.report.inputs import ReportError
from behavior_scaling.report.names import FIGURES
from behavior_scaling.report.number import load_numbers
from behavior_scaling.report.numbers import make_numbers
from behavior_scaling.report.promote import SUMS, TEXTS, compare, promote
from behavior_scaling.report.readme import END, update_readme

BEGIN = "<!-- results:begin study=quick -->"
QUICK = Path(__file__).parents[2] / "config" / "quick.yaml"


@pytest.fixture
def study(drawn: Path, tmp_path: Path) -> Path:
    """A results folder with fresh figures."""
    shutil.copytree(drawn, tmp_path / "results" / "figures")
    (tmp_path / "results" / "tables").mkdir()
    (tmp_path / "results" / "tables" / "claims.md").write_text("claims")
    (tmp_path / "results" / "paper.pdf").write_bytes(b"%PDF")
    return tmp_path / "results"


@pytest.fixture
def promoted(study: Path, tmp_path: Path) -> Path:
    """The committed copies."""
    promote(study, tmp_path / "figures" / "quick")
    return tmp_path / "figures" / "quick"


def test_promoted_copies_are_identical_and_summed(study: Path, promoted: Path) -> None:
    lines = (promoted / SUMS).read_text().splitlines()
    assert len(lines) == 4 * len(FIGURES) + 2
    assert (promoted / "paper.pdf").read_bytes() == b"%PDF"
    assert (promoted / "claims.md").read_text() == "claims"
    for line in lines:
        digest, name = line.split("  ")
        content = (promoted / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        place = study / TEXTS.get(name, f"figures/{name}")
        assert content == place.read_bytes()
    assert compare(study, promoted) == []


def test_a_changed_number_is_found(study: Path, promoted: Path) -> None:
    path = study / "figures" / "share.csv"
    table = pd.read_csv(path)
    row = table.index[table["kind"] == "cell"][0]
    table.loc[row, "y"] *= 1 + 1e-5
    table.to_csv(path, index=False)
    assert [str(d) for d in compare(study, promoted)] == [
        f"share.csv: row {row + 2}, column y: {table.loc[row, 'y']}, promoted "
        f"{table.loc[row, 'y'] / (1 + 1e-5):.8g}"
    ]


def test_rounding_of_another_machine_is_no_difference(study: Path, promoted: Path) -> None:
    path = study / "figures" / "share.csv"
    table = pd.read_csv(path)
    table["y"] *= 1 + 1e-8
    table.to_csv(path, index=False)
    (study / "figures" / "share.svg").write_text("<svg/>")
    assert compare(study, promoted) == []


def test_a_changed_picture_is_found_and_a_few_pixels_are_not(study: Path, promoted: Path) -> None:
    path = study / "figures" / "batch.png"
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).copy()
    pixels[:20, :20] = 0
    Image.fromarray(pixels).save(path)
    assert compare(study, promoted) == []
    pixels[:400, :400] = 0
    Image.fromarray(pixels).save(path)
    found = compare(study, promoted)
    assert [d.file for d in found] == ["batch.png"]
    assert "of the pixels differ" in found[0].reason
    Image.fromarray(pixels[:300]).save(path)
    assert "x 300 pixels, promoted" in compare(study, promoted)[0].reason


def test_missing_and_edited_files_are_found(study: Path, promoted: Path) -> None:
    (study / "figures" / "compute.pdf").unlink()
    (promoted / "allocation.svg").unlink()
    (promoted / "batch.csv").write_text("x\n1\n")
    found = {d.file: d.reason for d in compare(study, promoted)}
    assert found["compute.pdf"] == "was not drawn"
    assert found["allocation.svg"] == "was never promoted"
    assert "columns, promoted 1 of 1" in found["batch.csv"]
    with pytest.raises(ReportError, match=r"compute\.pdf: missing"):
        promote(study, promoted)
    (promoted / SUMS).unlink()
    with pytest.raises(ReportError, match="promote the figures first"):
        compare(study, promoted)


def test_promoting_again_removes_what_is_drawn_no_more(study: Path, promoted: Path) -> None:
    (promoted / "old.png").write_bytes(b"x")
    sums = promoted / SUMS
    sums.write_text(sums.read_text() + f"{hashlib.sha256(b'x').hexdigest()}  old.png\n")
    promote(study, promoted)
    assert not (promoted / "old.png").exists()
    assert compare(study, promoted) == []


def test_readme_block_is_rewritten_and_nothing_else(results_dir: Path, tmp_path: Path) -> None:
    numbers = load_numbers(make_numbers(results_dir, results_dir / "floors.json", QUICK))
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nstale\n{END}\n\nafter\n")
    assert update_readme(readme, numbers)
    text = readme.read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert "stale" not in text
    assert "64 of 66 runs" in text
    assert "| N\\* ∝ C\\^a " in text
    assert "| 0.500 (0.450 to 0.550)" in text  # the joint surface's
    assert "figures/quick/main.png" in text
    assert not update_readme(readme, numbers)
    del numbers["claims.by_id.share_flat.brief"]
    with pytest.raises(ReportError, match=r"'claims\.by_id\.share_flat\.brief' is missing"):
        update_readme(readme, numbers)
    assert readme.read_text() == text


def test_a_block_that_belongs_to_another_study_is_left_alone(
    results_dir: Path, tmp_path: Path
) -> None:
    numbers = load_numbers(make_numbers(results_dir, results_dir / "floors.json", QUICK))
    readme = tmp_path / "README.md"
    text = f"{BEGIN.replace('quick', 'pilot')}\nold\n{END}\n"
    readme.write_text(text)
    assert not update_readme(readme, numbers)
    assert readme.read_text() == text


def test_a_text_that_was_edited_by_hand_is_a_difference(study: Path, promoted: Path) -> None:
    (promoted / "claims.md").write_text("replicated")
    (found,) = compare(study, promoted)
    assert str(found) == "claims.md: the promoted copy does not fit its SHA256SUMS"


@pytest.mark.parametrize("text", ["none", f"{BEGIN} only", f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_readme_without_its_markers_is_refused(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ReportError, match=r"README\.md: needs one"):
        update_readme(readme, {})
    assert readme.read_text() == text


def test_numbers_file_is_plain_json(results_dir: Path) -> None:
    path = make_numbers(results_dir, results_dir / "floors.json", QUICK)
    first = path.read_bytes()
    json.loads(first)
    assert make_numbers(results_dir, results_dir / "floors.json", QUICK).read_bytes() == first
