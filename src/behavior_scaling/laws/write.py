"""Writing laws/*.json: rounded, free of NaN, whole or not at all.

Choices: every float is rounded to 8 significant digits here and only here, so that figures draw
what was written; a NaN or infinity is an error that names its place, since a number that is not
known must be None with a status.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from behavior_scaling.files import replacing
from behavior_scaling.laws.arrays import LawsError

DIGITS = 8


def round_significant(value: float, digits: int = DIGITS) -> float:
    """The float nearest to the value's decimal form with that many significant digits."""
    return float(f"{value:.{digits - 1}e}")


def write_laws(laws: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write each entry as folder/<name>.json, atomically; returns the paths.

    Raises:
        LawsError: a NaN, an infinity or something that JSON has no form for; nothing is written.
    """
    plain = {name: _plain(content, name) for name, content in laws.items()}
    return [_write(folder / f"{name}.json", content) for name, content in sorted(plain.items())]


def _write(path: Path, content: Any) -> Path:
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if json.loads(temporary.read_text(encoding="utf-8")) != content:
            raise OSError(f"{path}: what was written does not read back as the same laws")
    return path


def _plain(value: Any, where: str) -> Any:
    """Dictionaries, lists, strings, booleans, None, ints and rounded finite floats."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part, f"{where}[{index}]") for index, part in enumerate(value)]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise LawsError(f"{where}: {value!r} cannot be written; a missing number is None")
        return round_significant(float(value))
    raise LawsError(f"{where}: {type(value).__name__} has no form in JSON")
