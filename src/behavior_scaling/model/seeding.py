"""Generators named by what they are for, so that no two uses share a stream by accident."""

from __future__ import annotations

import hashlib

import torch


def seeded(*name: str | int) -> torch.Generator:
    """A CPU generator determined by `name`, e.g. seeded("candidates", seed, step).

    The name is hashed to 32 bits, all that torch's Mersenne twister takes of a seed.
    """
    text = "\x1f".join(str(part) for part in name)
    digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
