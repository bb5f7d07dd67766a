"""Record: what one run was asked, what came of it, and the hashes that protect it.

Choices: a failed or diverged run is an outcome with its reason, not a missing file; two records
are the same when spec, counts, metrics, curve and probes agree (`numeric_hash`); timings, versions
and machine are recorded and never compared; a number that does not exist is None, never NaN.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from behavior_scaling.records.spec import RunSpec, canonical_json

Outcome = Literal["done", "diverged", "failed"]


class RecordError(ValueError):
    """A record that is missing, truncated or altered; the message names the file."""


@dataclass(frozen=True)
class Record:
    """One run's result; `files` maps the name of each file beside it to its SHA-256."""

    spec: RunSpec
    outcome: Outcome
    error: str | None = None
    counts: dict[str, int | float] = field(default_factory=dict)
    metrics: dict[str, float | int | None] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    probes: list[dict[str, float | None]] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The run id."""
        return self.spec.id

    @property
    def numeric_hash(self) -> str:
        """SHA-256 over spec, outcome, counts, metrics, curve and probes."""
        numbers = {
            "spec": self.spec.to_dict(),
            "outcome": self.outcome,
            "counts": self.counts,
            "metrics": self.metrics,
            "curve": self.curve,
            "probes": self.probes,
        }
        return hashlib.sha256(canonical_json(numbers).encode()).hexdigest()

    def to_json(self) -> str:
        """Indented JSON with the run id, the numeric hash and a hash over all the rest."""
        body = dataclasses.asdict(self) | {"id": self.id, "numeric_hash": self.numeric_hash}
        body["record_hash"] = hashlib.sha256(canonical_json(body).encode()).hexdigest()
        return json.dumps(body, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Record:
        """Read and check a record.

        Raises:
            RecordError: the text is no JSON object, lacks a key, or its hash does not fit.
        """
        try:
            body: dict[str, Any] = json.loads(text)
            stated = body.pop("record_hash")
            found = hashlib.sha256(canonical_json(body).encode()).hexdigest()
            if stated != found:
                raise RecordError(f"{where}: altered: record_hash is {stated}, content {found}")
            run_id, numeric_hash = body.pop("id"), body.pop("numeric_hash")
            record = cls(**(body | {"spec": RunSpec.from_dict(body["spec"])}))
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise RecordError(f"{where}: truncated or not a record: {error!r}") from error
        if (record.id, record.numeric_hash) != (run_id, numeric_hash):
            raise RecordError(f"{where}: run id or numeric hash does not fit the content")
        return record
