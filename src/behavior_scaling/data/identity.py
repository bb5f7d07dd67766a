"""A data set's identity: SHA-256 of its canonical tables, whatever file they came from.

Choices: after de-duplication and sorting the tables are the ids of users and items, the arrays of
events, and the items' features, so their hashes are those of arrays that are written anyway; which
session an event is of counts where the source names sessions; nothing that a study chooses (split,
bins, tokens) has a part. Lines that differ only in the order of users or in repeats are the same
data; the order among one user's events of equal time is information.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from behavior_scaling.data.sequence import Sequences
from behavior_scaling.data.tables import FeatureSchema
from behavior_scaling.files import sha256_file
from behavior_scaling.records.spec import canonical_json


def identity(
    schema: FeatureSchema,
    sequences: Sequences,
    ids: Mapping[str, str],
    items: str,
    arrays: Mapping[str, str],
    scratch: Path,
    *,
    sessions: bool,
) -> str:
    """The identity, in hexadecimal.

    Args:
        schema: columns and kinds, in order.
        sequences: of the events.
        ids: digest_of_ids of users and items, by name.
        items: digest of the items' features.
        arrays: SHA-256 of the data set's arrays by file name, items, times and sessions among them.
        scratch: holds the raw event features.
        sessions: whether the source names them.
    """
    names = ["items", "times", *(["sessions"] if sessions else [])]
    files = {name: arrays[f"{name}.npy"] for name in names}
    features = {
        name: [
            kind,
            sha256_file(scratch / f"event_{number}.npy"),
            list(sequences.words[name].number) if name in sequences.words else None,
        ]
        for number, (name, kind) in enumerate(schema.events)
    }
    offsets = hashlib.sha256(sequences.offsets.astype("<i8").tobytes()).hexdigest()
    whole = {
        "ids": dict(ids),
        "offsets": offsets,
        "events": files,
        "event_features": features,
        "columns": schema.columns,
        "items": items,
    }
    return hashlib.sha256(canonical_json(whole).encode()).hexdigest()


def digest_of_ids(ids: Iterable[int | str]) -> str:
    """SHA-256 of ids in order; the integer 1 and the text '1' differ."""
    digest = hashlib.sha256()
    for identifier in ids:
        digest.update(canonical_json(identifier).encode() + b"\n")
    return digest.hexdigest()
