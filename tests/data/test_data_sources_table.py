"""The table of sources: every fact in its place, and docs/sources.md says what the code says."""

from __future__ import annotations

from pathlib import Path

from behavior_scaling.data import sources
from behavior_scaling.data.sources.base import SourceInfo
from behavior_scaling.data.sources.table import sources_table

PAGE = Path(__file__).parents[2] / "docs" / "sources.md"
MARK = "<!-- from here on: behavior_scaling.data.sources.table -->\n"


def test_the_page_is_what_the_sources_say() -> None:
    found = PAGE.read_text().partition(MARK)[2]

    assert found == sources_table(sources.infos()), (
        f"replace what follows the mark in {PAGE.name} by what this prints: python -c 'from "
        f"behavior_scaling.data import sources; from behavior_scaling.data.sources.table import "
        f'sources_table; print(sources_table(sources.infos()), end="")\''
    )


def test_every_fact_stands_in_its_place() -> None:
    known = SourceInfo(
        name="known",
        version="1 | 2",
        origin="https://example.org/a.zip",
        licence="CC0",
        citation="A. Author (2020). Data.",
        verified="loaded in full",
        sha256="ab" * 32,
        size=12_345,
        schema="https://example.org/format",
        manual="Put a.zip there.",
        n_events=1_000,
    )
    unchecked = SourceInfo("bare", "3", "nowhere", "none", "B. Author.", "format tested")

    header, rule, first, second, *rest = sources_table([known, unchecked]).splitlines()

    assert header == "| source | version | events | bytes | SHA-256 | licence | verified |"
    assert rule == "| --- | --- | --- | --- | --- | --- | --- |"
    assert first == (
        f"| `known` | 1 \\| 2 | 1,000 | 12,345 | `{'ab' * 32}` | CC0 | loaded in full |"
    )
    assert second == "| `bare` | 3 | unknown | unknown | unknown | none | format tested |"
    assert rest == [
        "",
        "**known**",
        "",
        "- from: https://example.org/a.zip",
        "- format: https://example.org/format",
        "- by hand: Put a.zip there.",
        "- cite: A. Author (2020). Data.",
        "",
        "**bare**",
        "",
        "- from: nowhere",
        "- cite: B. Author.",
    ]


def test_a_format_tested_source_claims_nothing_unchecked() -> None:
    for info in sources.infos():
        if info.verified == "format tested":
            assert info.schema, f"{info.name}: cite where its format is published"
            assert info.sha256 is None, info.name
            assert (info.size, info.n_events, info.n_users, info.n_items) == (None,) * 4, info.name
