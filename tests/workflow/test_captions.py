"""Every figure has a caption of its own in Snakemake's report."""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.report.names import FIGURES

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report" / "figures"


def test_each_figure_has_its_own_caption() -> None:
    captions = {path.stem: path.read_text().strip() for path in CAPTIONS.glob("*.rst")}
    assert set(captions) == set(FIGURES)
    assert all(captions.values())
    assert len({caption.split(".")[0] for caption in captions.values()}) == len(FIGURES)
