"""How many 64-bit words of a core's synapse memory the axons of a bundle of synapses take.

words(axon) = Σ over blocks of ≤ 64 synapses of ceil((n · bits + 4 + 6) / 64), bits being weight + delay
(+ 8 for the index where sparse). Source: nengo-loihi, builder/ and hardware/ (synapse format). Check
case: 256 × 256 at 8 bit is 9 216 words dense and 17 408 sparse.

A convolution's weights are stored once on each core that holds part of its image, one list a sending
channel, which the axons of all its places share; every entry has an index, as where sparse. This model is
unverified: that Loihi's axons can share synapses is published (NxTF), the words it takes are not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from strl.quantize.convolution import Kernel
from strl.quantize.network import Format, Synapse

BLOCK = 64
HEADER_BITS = 10
INDEX_BITS = 8
DELAY_BITS = 6
WORD = 64


def axon_words(synapses: int, bits: int) -> int:
    """Words of one axon with that many stored synapses of ``bits`` bits each."""
    full, rest = divmod(synapses, BLOCK)
    words = full * math.ceil((BLOCK * bits + HEADER_BITS) / WORD)
    return words + (math.ceil((rest * bits + HEADER_BITS) / WORD) if rest else 0)


def words(synapse: Synapse, start: int, stop: int, form: Format) -> int:
    """Words that neurons ``start``..``stop − 1`` of the target need for this bundle in one format."""
    bits = synapse.weight_bits + (DELAY_BITS if synapse.delay > 1 else 0)
    if isinstance(synapse.weight, Kernel):
        lists = shared(synapse.weight, start, stop, form)
        return sum(axon_words(int(n), bits + INDEX_BITS) for n in lists)
    rows = synapse.weight[start:stop]
    if form == "dense":
        return int(rows.shape[1]) * axon_words(int(rows.shape[0]), bits)
    return sum(axon_words(int(n), bits + INDEX_BITS) for n in fan_out(rows))


def fan_out(rows: NDArray[np.int16]) -> NDArray[np.int64]:
    """Non-zero synapses of each source neuron: weight [post, pre] → [pre]."""
    return np.asarray(np.count_nonzero(rows, axis=0), dtype=np.int64)


def shared(kernel: Kernel, start: int, stop: int, form: Format) -> NDArray[np.int64]:
    """Weights stored for each sending channel where neurons ``start``..``stop − 1`` of the target live."""
    out, height, width = kernel.shape
    channels = np.arange(start // (height * width), (stop - 1) // (height * width) + 1)
    stored = np.ones_like(kernel.weight) if form == "dense" else kernel.weight != 0
    per_group = out // kernel.groups
    lists = [
        np.count_nonzero(stored[channels[channels // per_group == group]], axis=(0, 2, 3))
        for group in range(kernel.groups)
    ]
    return np.asarray(np.concatenate(lists), dtype=np.int64)


def best_format(synapse: Synapse) -> Format:
    """The format that takes less memory; dense where they tie."""
    post = synapse.shape[0]
    dense, sparse = (words(synapse, 0, post, f) for f in ("dense", "sparse"))
    return "sparse" if sparse < dense else "dense"
