"""Slices of the evaluation positions: those of the data room, where the floors are cut too."""

from behavior_scaling.data.slices import FLAGS, HEAD_SHARE, Mask, popularity_head, slice_masks

__all__ = ["FLAGS", "HEAD_SHARE", "Mask", "popularity_head", "slice_masks"]
