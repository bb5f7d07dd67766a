"""The parts and parameters of the joint surface in words, in the order in which they are shown."""

from __future__ import annotations

PARTS = {
    "E": "irreducible value",
    "context": "contextualizer too small",
    "embedder": "embedder too small",
    "data": "too little data",
    "candidates": "too few candidates",
    "uniform": "uniform candidates differ",
    "repetition": "repeated data count less",
    "batch": "large batches use data worse",
    "stage": "stage 2 starts elsewhere",
    "stage trend": "stage 2 moves with compute",
}

# name in laws/surface.json: its part, its key in numbers.json (where letters have no case)
PARAMETERS = {
    "E": ("E", "floor"),
    "A_c": ("context", "context_size"),
    "a_c": ("context", "context_exponent"),
    "A_e": ("embedder", "embedder_size"),
    "a_e": ("embedder", "embedder_exponent"),
    "G": ("data", "data_size"),
    "g": ("data", "data_exponent"),
    "H": ("candidates", "candidates_size"),
    "k": ("candidates", "candidates_exponent"),
    "r": ("uniform", "uniform_effect"),
    "R*": ("repetition", "repetition_epochs"),
    "B_crit": ("batch", "batch_knee"),
    "offset": ("stage", "stage_offset"),
    "offset slope": ("stage trend", "stage_slope"),
}
