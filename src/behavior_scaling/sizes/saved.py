"""What autograd saves of both parts of the model, in floats of 4 bytes, from their specs.

Choices: counted tensor by tensor as model/ saves them; the tests hold every number here against
torch, in float32 and under bf16 autocast. There normed inputs stay in float32 and have a bf16 copy
that a product takes; products' inputs and outputs and attention's mask are bf16. Left out, being
small: a scale a row, a logarithm a head and row, and places of tokens.
"""

from __future__ import annotations

import math
from typing import Literal

from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec
from behavior_scaling.sizes.parameters import MLP_RATIO
from behavior_scaling.user_class import is_user_class, stated_saved_floats

Precision = Literal["fp32", "bf16-mixed"]

FLOAT = 4  # bytes
HALF = 2
ROW_STEP = 16  # tokens; attention over other lengths falls to a slow path on a CPU

# Products whose inputs and outputs autograd saves in a pre-norm half block, in widths per position,
# its normed input aside: queries, keys, values and attention's output; the MLP's hidden layer
# before and after GELU.
SAVED_BY_ATTENTION = 4
SAVED_BY_MLP = 2 * MLP_RATIO
# In a transformer embedder attention's output lies flat, and queries, keys, values and it again in
# rows (model/token_rows.py).
SAVED_FLAT = 1
SAVED_BY_MIXING = 2 + 2 * MLP_RATIO  # mean and numbers side by side, hidden


def contextualizer_saves(
    contextualizer: ContextualizerSpec, context: int, precision: Precision = "fp32"
) -> float:
    """Floats of 4 bytes that autograd saves at one position.

    Layers, final norm, mask row, event features.
    """
    layer = _half_block(SAVED_BY_ATTENTION, precision) + _half_block(SAVED_BY_MLP, precision)
    blocks = (contextualizer.layers * layer + 1) * contextualizer.width
    return blocks + _products(context + contextualizer.event_width, precision)


def past_saves(width: int, context: int, precision: Precision = "fp32") -> float:
    """Floats of 4 bytes that autograd saves at one position that is scored against its own past.

    Its query and its vector, its row of scores, the row's sum, and a mask of bytes.
    """
    return _products(2 * width, precision) + context + 1 + context / FLOAT


def embedder_saves(
    embedder: EmbedderSpec, width: int, tokens: int, precision: Precision = "fp32"
) -> int:
    """Floats of 4 bytes that autograd saves for one item: its blocks, and its normed mean.

    Raises:
        ValueError: a user's class that does not state them.
    """
    if embedder.kind in ("fixed", "table"):
        return 0
    if is_user_class(embedder.kind):
        return stated_saved_floats(embedder.kind, embedder.width, embedder.depth, width, tokens)
    normed = _half_block(0, precision)
    mixing = 0.0
    if embedder.kind == "tabtransformer":
        mixing = normed + _products(SAVED_BY_MIXING, precision)
    if embedder.depth == 0:
        return round((mixing or _products(1, precision)) * embedder.width)
    mlp = _half_block(SAVED_BY_MLP, precision)
    if embedder.kind == "mlp":
        return round((embedder.depth * mlp + normed) * embedder.width)
    length, stretch = token_row(tokens)
    flat = _half_block(SAVED_FLAT, precision) + mlp
    in_rows = _products(SAVED_BY_ATTENTION, precision) * length / stretch
    mask = _products(length**2 / stretch, precision)
    of_tokens = tokens * (embedder.depth * (flat + in_rows) * embedder.width + mask)
    return round(of_tokens + (normed + mixing) * embedder.width)


def _products(floats: float, precision: Precision) -> float:
    """Numbers saved in the type of products, in floats of 4 bytes."""
    return floats if precision == "fp32" else floats * HALF / FLOAT


def _half_block(products: float, precision: Precision) -> float:
    """A normed input in float32, which bf16 products have a copy of, and what products take."""
    copy = 0 if precision == "fp32" else 1
    return 1 + _products(products + copy, precision)


def token_row(longest: int) -> tuple[int, int]:
    """Length R of the rows that attention over items of up to `longest` tokens sees.

    Returns:
        R, and the flat positions whose items a row takes (model/token_rows.py).
    """
    length = ROW_STEP * math.ceil((longest + ROW_STEP - 1) / ROW_STEP)
    return length, length - longest + 1
