"""A hash of the package's own sources, so that analysis is redone when its code changes.

Training does not use it: a run's identity is its spec with NUMERICS (records/spec.py), or every
edit of a comment would cost hours.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def source_hash(*rooms: str) -> str:
    """SHA-256 (first 16 digits) over the files of some rooms of the package, such as 'laws'."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for room in rooms:
        for path in sorted((package / room).rglob("*")):
            if path.suffix in {".py", ".yaml"}:
                digest.update(str(path.relative_to(package)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
