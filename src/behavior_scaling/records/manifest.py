"""An archive's manifest: what it holds, on which data, and what that cost.

Choices: everything is derived from the records and the data, nothing from the moment or the machine
of writing, so that equal records give equal bytes; a hash over all the rest protects what no
record's hash does (floors, truth, the list itself); the summary counts a run once, however many
axes it serves, and once under each of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from behavior_scaling.files import write_text
from behavior_scaling.records.record import Record, RecordError
from behavior_scaling.records.spec import NUMERICS, DataSpec, canonical_json

MANIFEST = "manifest.json"
PARENT = "parent"  # of stage-2 runs, where no axis asks for it

Listed = dict[str, dict[str, str]]  # run id -> name of a file -> SHA-256


@dataclass(frozen=True)
class Manifest:
    """What stands in manifest.json."""

    data: DataSpec
    floors: dict[str, Any]  # trivial rules on the evaluation positions
    truth: dict[str, Any] | None  # of a synthetic world
    n_items: int | None  # V; None where no run came to its end
    numerics: int
    summary: dict[str, Any]
    records: Listed

    @property
    def n_bytes(self) -> int:
        """Of all files that it lists for the study."""
        return int(self.summary["bytes"])


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        RecordError: missing, truncated or altered.
    """
    if not path.is_file():
        raise RecordError(f"{path}: no archive here; make one with `behavior-scaling archive`")
    try:
        body = json.loads(path.read_text(errors="replace"))
        stated = body.pop("manifest_hash")
        if stated != _hash(body):
            raise RecordError(f"{path}: altered: manifest_hash does not fit its content")
        return Manifest(**(body | {"data": DataSpec(**body["data"])}))
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise RecordError(f"{path}: truncated or not a manifest: {error!r}") from error


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest with its hash, whole or not at all."""
    body = dataclasses.asdict(manifest)
    text = json.dumps(body | {"manifest_hash": _hash(body)}, indent=1, sort_keys=True)
    write_text(path, text + "\n")


def make_manifest(
    data: DataSpec,
    floors: dict[str, Any],
    truth: dict[str, Any] | None,
    records: Sequence[Record],
    axes: Mapping[str, Sequence[str]],
    listed: Listed,
    n_bytes: int,
) -> Manifest:
    """The manifest of a study's records.

    Args:
        data: that they were trained on.
        floors: what `floors` wrote.
        truth: what `truth` wrote, of a world.
        records: of the study, each once.
        axes: run id -> the axes (and arms) that ask for it.
        listed: hashes of every file.
        n_bytes: of the files of `records`.
    """
    sizes = {int(r.counts["n_items"]) for r in records if "n_items" in r.counts}
    if len(sizes) > 1:
        raise RecordError(f"the records disagree about the number of items: {sorted(sizes)}")
    summary = _summary(records, axes) | {"bytes": n_bytes}
    return Manifest(data, floors, truth, next(iter(sizes), None), NUMERICS, summary, listed)


def kind_of(record: Record) -> dict[str, str]:
    """The kind of machine, as far as a record tells it."""
    return {key: said for key, said in record.machine.items() if key != "peak_memory"}


def _summary(records: Sequence[Record], axes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        for axis in axes.get(record.id) or (PARENT,):
            outcomes[axis][record.outcome] += 1
    return {
        "runs": len(records),
        "outcomes": dict(Counter(record.outcome for record in records)),
        "axes": {axis: dict(counts) for axis, counts in outcomes.items()},
        "hours": round(math.fsum(r.timings.get("seconds", 0.0) for r in records) / 3600, 4),
        "flops_nominal": math.fsum(r.counts.get("flops_nominal", 0.0) for r in records),
        "flops_executed": math.fsum(r.counts.get("flops_executed", 0.0) for r in records),
        "threads": sorted({record.spec.threads for record in records}),
        "machines": _counted(kind_of(record) for record in records),
        "versions": _counted(record.versions for record in records),
    }


def _counted(said: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Every distinct one with the number of its runs; those of failed runs say nothing."""
    counts = Counter(canonical_json(dict(one)) for one in said if one)
    return [{**json.loads(text), "runs": counts[text]} for text in sorted(counts)]


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()
