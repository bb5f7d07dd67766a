"""The rules by which values become feature tokens; item_features.py applies them to a catalogue.

Choices: a token is the text "column=value", its code a stable hash of it modulo the codebook, so
there is no vocabulary to fit and an unseen item costs nothing; a number lies between two
neighbouring knots (quantiles over the items that have training events) and becomes both, with
weights 1 - f and f, so that an outlier moves nothing: beyond the last knot is at the last knot; a
word that hardly any training item carries is also given by its runs of letters, "column~run", by
which words of one stem resemble each other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

MISSING = "<missing>"
_WORD = re.compile(r"\w+")
# The same rule for ASCII, faster: letters in lower case, and a space for what parts words.
_ASCII_WORDS = {code: chr(code).lower() if _WORD.match(chr(code)) else " " for code in range(128)}


def hashes(prefix: str, values: Iterable[str]) -> NDArray[np.uint64]:
    """The first 8 bytes of every token's BLAKE2b; a token is `prefix` and a value."""
    begun = hashlib.blake2b(prefix.encode(), digest_size=8)
    digests = []
    for value in values:
        digest = begun.copy()
        digest.update(value.encode())
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8")


def code_of(token: str, codebook: int) -> int:
    """The codebook's row of a token: its hash modulo the codebook."""
    return int(hashes(token, [""])[0]) % codebook


def words(text: str) -> list[str]:
    """Words of a text in lower case, in order: letters, digits and underscores."""
    if text.isascii():
        return text.translate(_ASCII_WORDS).split()
    return _WORD.findall(text.lower())


def letter_runs(word: str, letters: int) -> list[str]:
    """Runs of `letters` characters of '<word>', in order; the whole of it where it is shorter."""
    padded = f"<{word}>"
    return [padded[at : at + letters] for at in range(max(1, len(padded) - letters + 1))]


def knots_of(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Distinct quantiles of the finite values, at most `bins`, from the least to the greatest."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.empty(0)
    return np.unique(np.quantile(finite, np.linspace(0, 1, bins)))


def between(
    numbers: NDArray[np.float64], knots: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lower one of the two knots around each number, and the weight of the upper one.

    Args:
        numbers: [n], none missing.
        knots: distinct and ascending, at least one; with one alone the upper's weight is 0.
    """
    if len(knots) == 1:
        return np.zeros(len(numbers), dtype=np.int64), np.zeros(len(numbers))
    inside = np.clip(numbers, knots[0], knots[-1])
    low = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
    return low, (inside - knots[low]) / (knots[low + 1] - knots[low])
