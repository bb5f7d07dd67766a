"""GPUs that a study may be planned for: memory, its bandwidth, peak rates and power, by data sheet.

Choices: dense rates, since nothing here is sparse (data sheets that print rates 'with sparsity'
print twice these); fp32 is the rate outside the tensor cores, as the package leaves TF32 off;
memory in decimal gigabytes, the smaller reading; power is the most that the board may draw. A GPU
whose figures could not be checked against two public copies of its data sheet is not here: V100
has no bf16, and B200's memory is printed as 180 and as 192 GB.
"""

from __future__ import annotations

from dataclasses import dataclass

GB = 10**9
TERA = 10**12


@dataclass(frozen=True)
class Gpu:
    """What a data sheet says of one device."""

    name: str
    memory_bytes: int
    flops: dict[str, float]  # precision of a study -> dense FLOP/s at most
    watts: float
    source: str
    bandwidth: float  # of its memory, byte/s


def _gpu(
    name: str, gigabytes: int, fp32: float, bf16: float, watts: float, gb_s: float, source: str
) -> Gpu:
    rates = {"fp32": fp32 * TERA, "bf16-mixed": bf16 * TERA}
    return Gpu(name, gigabytes * GB, rates, watts, source, gb_s * GB)


_A100 = "NVIDIA A100 data sheet (1758950-r4), SXM"
_ADA = "NVIDIA Ada GPU architecture white paper v2, appendix A"
GPUS = {
    gpu.name: gpu
    for gpu in (  # GB, fp32 and bf16 in TFLOP/s, W, GB/s
        _gpu("a100-40", 40, 19.5, 312.0, 400, 1555, _A100),
        _gpu("a100-80", 80, 19.5, 312.0, 400, 2039, _A100),
        _gpu("h100", 80, 67.0, 989.4, 700, 3350, "NVIDIA H100 data sheet, SXM5"),
        _gpu("h200", 141, 67.0, 989.4, 700, 4800, "NVIDIA H200 data sheet, SXM"),
        _gpu("l40s", 48, 91.6, 362.05, 350, 864, "NVIDIA L40S data sheet"),
        _gpu("rtx4090", 24, 82.6, 165.2, 450, 1008, _ADA),
    )
}


def gpu_named(name: str) -> Gpu:
    """The GPU of a name.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    if name not in GPUS:
        raise ValueError(f"no GPU is known as {name!r}; there are {', '.join(GPUS)}")
    return GPUS[name]
