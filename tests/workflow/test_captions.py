"""Every figure has a caption of its own in Snakemake's report."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import jinja2

from behavior_scaling.report.names import FIGURES

REPORT = Path(__file__).parents[2] / "workflow" / "report"


def test_each_figure_has_its_own_caption() -> None:
    template = jinja2.Template((REPORT / "figure.rst").read_text())
    captions = {
        name: template.render(snakemake=SimpleNamespace(wildcards=SimpleNamespace(figure=name)))
        for name in FIGURES
    }
    openings = {caption.strip().split(".")[0] for caption in captions.values()}
    assert len(openings) == len(FIGURES)
    assert not any(opening.startswith("The CSV of the same name") for opening in openings)
