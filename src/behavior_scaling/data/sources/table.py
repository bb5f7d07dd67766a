"""The table of sources in docs/sources.md, as Markdown: written from what the sources say."""

from __future__ import annotations

from collections.abc import Sequence

from behavior_scaling.data.sources.base import SourceInfo

_COLUMNS = ("source", "version", "events", "bytes", "SHA-256", "licence", "verified")
UNKNOWN = "unknown"  # nobody has checked it


def sources_table(infos: Sequence[SourceInfo]) -> str:
    """A table of the sources, one row each, and below it where each comes from."""
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_row, infos)]
    table = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    return table + "".join("\n" + _details(info) for info in infos)


def _row(info: SourceInfo) -> tuple[str, ...]:
    cells = (
        f"`{info.name}`",
        info.version,
        UNKNOWN if info.n_events is None else f"{info.n_events:,}",
        UNKNOWN if info.size is None else f"{info.size:,}",
        UNKNOWN if info.sha256 is None else f"`{info.sha256}`",
        info.licence,
        info.verified,
    )
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _details(info: SourceInfo) -> str:
    """A source's origin, format, manual steps and citation, each in a line of a list."""
    facts = {
        "from": info.origin,
        "format": info.schema,
        "by hand": info.manual,
        "cite": info.citation,
    }
    lines = [f"- {what}: {fact}\n" for what, fact in facts.items() if fact]
    return f"**{info.name}**\n\n" + "".join(lines)
