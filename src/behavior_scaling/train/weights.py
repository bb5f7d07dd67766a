"""The embedder's weights as a safetensors file: what a parent hands to its stage-2 children.

Choices: trained parameters only (the codebook is made from the data and the spec); a 'fixed'
embedder has none, and its file is empty of tensors but there.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from behavior_scaling.files import replacing
from behavior_scaling.model.two_part import TwoPart


def save_embedder(model: TwoPart, path: Path) -> None:
    """Write the embedder's parameters, whole or not at all, and read them back.

    Raises:
        OSError: what was read back is not what was written.
    """
    state = {name: value.cpu().contiguous() for name, value in model.embedder.state_dict().items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(state))
        found = load_file(temporary)
        if found.keys() != state.keys() or not all(
            torch.equal(found[name], value) for name, value in state.items()
        ):
            raise OSError(f"{path}: the weights read back are not those written")


def load_embedder(model: TwoPart, path: Path) -> None:
    """Give the model a parent's embedder.

    Raises:
        ValueError: no readable safetensors file, or weights of another shape; names the file.
    """
    try:
        model.embedder.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path}: not an embedder for this run: {error}") from error
