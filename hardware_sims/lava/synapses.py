"""Synapses as Lava's stock processes: Dense, Sparse, their delayed forms, and Conv.

Import after ``compat.load()``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from strl.chip.program import Program
from strl.errors import BackendError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Synapse
from strl.quantize.neurons import Ternary, binary

Int = NDArray[np.int32]

CONVOLVED = 2**23
"""Lava's Conv wraps its sums into ±2²³ (lava/proc/conv/models.py)."""

SPAN = 127
"""Lava's Conv keeps its geometry in 8 bits, and so NumPy its sums with an image's sides (the same file)."""


def synapse(program: Program, made: Synapse) -> Any:
    """The process of a synapse.

    A kernel becomes a Conv where that is exact, else the same synapses one by one: Conv has neither a delay
    nor a right shift, its sums are 24 bits wide and its images at most ``SPAN`` places.

    Raises:
        BackendError: Lava cannot keep its weights; names the synapse.
    """
    if isinstance(made.weight, Kernel) and _convolves(program, made, made.weight):
        return _conv(made, made.weight)
    sign_mode, weight, exponent = stored(made)
    options = {
        "weights": weight,
        "weight_exp": exponent,
        "num_weight_bits": 8,
        "num_message_bits": made.message_bits,
        "sign_mode": sign_mode,
        "name": made.name,
    }
    # Messages of many bits go through DelaySparse: DelayDense sums in 64 bits and shifts before it wraps.
    wide = made.delay > 1 and graded(program, made)
    if made.format == "sparse" or isinstance(made.weight, Kernel) or wide:
        options["weights"] = csr_matrix(weight)
        return Sparse(**options) if made.delay == 1 else DelaySparse(delays=made.delay - 1, **options)
    return Dense(**options) if made.delay == 1 else DelayDense(delays=made.delay - 1, **options)


def connect(made: Synapse, sender: Any, process: Any, entry: Any) -> None:
    """Join sender → process → entry; Lava's images have their channels last, ours first."""
    if not isinstance(process, Conv):
        sender.connect(process.s_in)
        process.a_out.connect(entry)
        return
    assert isinstance(made.weight, Kernel)
    sender.reshape(made.weight.image).transpose((1, 2, 0)).connect(process.s_in)
    process.a_out.transpose((2, 0, 1)).reshape(entry.shape).connect(entry)


def stored(made: Synapse) -> tuple[Any, Int, int]:
    """Sign mode, weights and exponent with which Lava keeps a synapse's weights to the last bit.

    Lava keeps 8 bits and cuts the rest (lava/utils/weightutils.py): 0..255 where all are ≥ 0, −255..0
    where all are ≤ 0, else even ones of −256..254. Weights that fit none of these are doubled where they can
    be, and the exponent lowered by one: (2 Σ w) · 2^(e − 1) is Σ w · 2^e, rounded towards −∞ just the same.

    Raises:
        BackendError: none of these holds them.
    """
    weight = made.matrix.astype(np.int32)
    low, high = int(weight.min()), int(weight.max())
    if low >= 0:
        return SignMode.EXCITATORY, weight, made.weight_exp
    if high <= 0 and low >= -255:
        return SignMode.INHIBITORY, weight, made.weight_exp
    if high <= 254 and not (weight & 1).any():
        return SignMode.MIXED, weight, made.weight_exp
    if low >= -128 and high <= 127:
        return SignMode.MIXED, weight * 2, made.weight_exp - 1
    raise BackendError(
        f"backend 'lava': {made.name}: weights of both signs, {low}..{high}, some odd; "
        "Lava's Dense keeps even ones of −256..254 or any of −128..127",
        hint="export with 8 weight bits or fewer, or use --backend lava-fused",
    )


def graded(program: Program, made: Synapse) -> bool:
    """True where the synapse multiplies with messages that may be larger than ±1."""
    kind = program.population(made.pre).kind
    return made.message_bits > 0 and not isinstance(kind, Ternary) and not binary(kind)


def largest_message(made: Synapse) -> int | None:
    """The greatest |message| for which doubled weights make no difference, ``None`` where they never do.

    Lava's sums have 32 bits. One that does not fit is wrapped, as it should; but twice as large it is wrapped
    earlier, and a shift to the right brings the lost bit to light.
    """
    _, weight, exponent = stored(made)
    if exponent >= 0 or exponent == made.weight_exp:
        return None
    return int((2**31 - 1) // int(np.abs(weight).sum(axis=1).max()))


def _convolves(program: Program, made: Synapse, kernel: Kernel) -> bool:
    largest = int(np.abs(kernel.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max()) << max(made.weight_exp, 0)
    exact = made.weight_exp >= 0 and largest < CONVOLVED and not graded(program, made)
    return made.delay == 1 and exact and _spans(kernel)


def _spans(kernel: Kernel) -> bool:
    """True where no number that Conv computes of a kernel's geometry leaves 8 bits."""
    channels, *image = kernel.image
    padded = (side + 2 * by for side, by in zip(image, kernel.padding, strict=True))
    spread = (d * (n - 1) + 1 for d, n in zip(kernel.dilation, kernel.weight.shape[2:], strict=True))
    widest: int = max(channels, kernel.shape[0], *padded, *spread, *kernel.stride)
    return widest <= SPAN


def _conv(made: Synapse, kernel: Kernel) -> Conv:
    """Lava convolves, so the kernel is turned round; and it has no exponent, so the weights carry it."""
    weight = kernel.weight.astype(np.int32) << made.weight_exp
    return Conv(
        weight=np.ascontiguousarray(weight.transpose(0, 2, 3, 1)[:, ::-1, ::-1]),
        input_shape=(*kernel.image[1:], kernel.image[0]),
        padding=kernel.padding,
        stride=kernel.stride,
        dilation=kernel.dilation,
        groups=kernel.groups,
        num_message_bits=made.message_bits,
        name=made.name,
    )
