"""The weights of a program in the three forms that the kernel reads.

- ``DENSE``: the weights of neuron i of a sender are the ``BLOCKS`` rows from ``base + i · BLOCKS`` on, base
  being ``HALVES`` (w >> 1) or ``ODDS`` (w & 1; NEVER where no weight is odd).
- ``SHARED``: every weight of a convolution once. The kernel adds up in a *plane*: [groups, height, width,
  channels of a group], with the height and width of the image that is received and a margin, so that a spike
  near the border needs no check. What a spike adds is the patch of its channel and of its place modulo the
  stride: ``SPAN`` rows of ``WIDTH`` weights, ``STRIDE`` places apart, zeros where nothing falls.
  ``table`` says per sender where in the plane (``PLACES``) which patch begins (``PATCHES``), and per neuron
  where its sum is (``GATHER``). Sums are loaded and stored in whole blocks of the plane, never across two, or
  each would wait for the last one to reach the cache; so a row begins with zeros, of which a sender takes as
  many as its place lies behind the start of a block. Rows are ``PITCH`` apart.
- ``LISTED``: as a compressed sparse row a sender: from table[``PLACES`` + i] on, targets in ``table`` from
  ``GATHER`` on and weights from ``PATCHES`` on. Quicker than a dense row, whose 32 neurons cost as one, only
  where nearly all weights are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware_sims.loihi.kernel import columns
from hardware_sims.loihi.kernel.columns import LANES
from strl.quantize.convolution import Kernel
from strl.quantize.network import Synapse

NEVER = -1

LISTED_BELOW = 1 / 80
"""Share of weights that are not 0, below which a list is quicker than rows (measured)."""


class Weights:
    """All weights of a program: ``add`` them, then ``finish``."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {
            "rows": [np.zeros((0, LANES), np.int8)],
            "patches": [np.zeros(0, np.int16)],
            "listed": [np.zeros(0, np.int16)],
            "table": [np.zeros(0, np.int32)],
        }

    def add(self, synapse: Synapse) -> dict[int, int]:
        """Entries of the synapse's row in the kernel's table: column → value."""
        if isinstance(synapse.weight, Kernel):
            return self._shared(synapse.weight)
        if np.count_nonzero(synapse.weight) < synapse.weight.size * LISTED_BELOW:
            return self._listed(synapse.weight)
        return self._dense(synapse.weight)

    def finish(self) -> dict[str, NDArray[Any]]:
        """``rows`` int8 [n, LANES], ``patches`` and ``listed`` int16 [n], ``table`` int32 [n]."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}

    def _append(self, name: str, values: NDArray[Any]) -> int:
        """Answers where the values begin."""
        start = sum(len(part) for part in self._parts[name])
        self._parts[name].append(values)
        return start

    def _dense(self, weight: NDArray[np.int16]) -> dict[int, int]:
        lanes = padded(np.ascontiguousarray(weight.T)).reshape(-1, LANES)
        halves = self._append("rows", (lanes >> 1).astype(np.int8))
        odd = bool((weight & 1).any())
        odds = self._append("rows", (lanes & 1).astype(np.int8)) if odd else NEVER
        return {columns.FORM: columns.DENSE, columns.HALVES: halves, columns.ODDS: odds}

    def _listed(self, weight: NDArray[np.int16]) -> dict[int, int]:
        pre, post = np.nonzero(weight.T)
        starts = np.searchsorted(pre, np.arange(weight.shape[1] + 1))
        return {
            columns.FORM: columns.LISTED,
            columns.PLACES: self._append("table", starts.astype(np.int32)),
            columns.GATHER: self._append("table", post.astype(np.int32)),
            columns.PATCHES: self._append("listed", weight[post, pre]),
        }

    def _shared(self, shared: Kernel) -> dict[int, int]:
        ways = _Way(shared, 0), _Way(shared, 1)
        channels, out = shared.image[0], shared.shape[0]
        per_in, per_out = channels // shared.groups, out // shared.groups
        y, x = ways
        row = max(x.length * per_out, LANES)
        # Patch number (channel, phase of y, phase of x); place of a sender in the plane, and in its block.
        patch = np.arange(channels)[:, None, None] * (y.phases * x.phases)
        patch = patch + (y.phase * x.phases)[:, None] + x.phase
        group = np.arange(channels)[:, None, None] // per_in
        place = (group * y.length + y.start[:, None]) * row + x.start * per_out
        behind = place % LANES
        o = np.arange(out)[:, None, None]
        gather = ((o // per_out) * y.length + y.end[:, None]) * row + x.end * per_out + o % per_out
        width = -(-(int(behind.max()) + x.reach * per_out) // LANES) * LANES
        lead = int(behind.max())
        rows = np.zeros((channels * y.phases * x.phases, y.reach, lead + width), np.int16)
        rows[..., lead : lead + x.reach * per_out] = self._patches(shared, ways)
        first = self._append("patches", rows.ravel()) + lead
        return {
            columns.FORM: columns.SHARED,
            columns.PLACES: self._append("table", (place - behind).astype(np.int32).ravel()),
            columns.PATCHES: self._append(
                "table", (first + patch * y.reach * (lead + width) - behind).astype(np.int32).ravel()
            ),
            columns.GATHER: self._append("table", gather.astype(np.int32).ravel()),
            columns.SPAN: y.reach,
            columns.STRIDE: row,
            columns.WIDTH: width,
            columns.PITCH: lead + width,
            # The last patch may reach beyond the last place.
            columns.PLANE: shared.groups * y.length * row + width,
            columns.MOST: _most(shared),
        }

    @staticmethod
    def _patches(shared: Kernel, ways: tuple[_Way, _Way]) -> NDArray[np.int16]:
        """[channels · phases of y · phases of x, rows of a patch, places · channels of a group]."""
        y, x = ways
        out, per_in = shared.weight.shape[:2]
        grouped = shared.weight.reshape(shared.groups, out // shared.groups, per_in, *shared.weight.shape[2:])
        shape = (shared.groups, per_in, y.phases, x.phases, y.reach, x.reach, out // shared.groups)
        found = np.zeros(shape, np.int16)
        for i, (phase_y, row) in enumerate(y.taps):
            for j, (phase_x, column) in enumerate(x.taps):
                found[:, :, phase_y, phase_x, row, column] = grouped[..., i, j].swapaxes(1, 2)
        return found.reshape(-1, y.reach, shape[-2] * shape[-1])


class _Way:
    """One axis of a convolution: what a sender at x reaches.

    With f = (x + padding) mod stride and q = (x + padding) // stride, its tap j falls on place
    q − (j · dilation − f) / stride, where that is whole. So a sender reaches the ``reach`` places up to q,
    and those with the same phase f have the same taps there. The plane has ``reach`` − 1 places more
    in front, so that they begin at q.
    """

    def __init__(self, shared: Kernel, axis: int) -> None:
        stride, padding, dilation = (way[axis] for way in (shared.stride, shared.padding, shared.dilation))
        count = shared.weight.shape[2 + axis]
        self.phases = stride
        self.start, self.phase = np.divmod(np.arange(shared.image[1 + axis]) + padding, stride)
        self.reach = (count - 1) * dilation // stride + 1
        self.end = np.arange(shared.shape[1 + axis]) + self.reach - 1
        self.length = int(max(self.start.max(), self.end.max())) + self.reach
        # Phase and place in the patch of every tap.
        self.taps = [(j * dilation % stride, self.reach - 1 - j * dilation // stride) for j in range(count)]


def _most(shared: Kernel) -> int:
    """Spikes of one tick whose weights certainly add up in 16 bits: all there can be, or so many."""
    weight = np.abs(shared.weight.astype(np.int64))
    if weight.sum(axis=(1, 2, 3)).max() < 2**15:
        return 2**62
    return int((2**15 - 1) // weight.max())


def padded(values: NDArray[Any]) -> NDArray[Any]:
    """[..., n] → [..., blocks, LANES], filled up with zeros."""
    blocks = -(-values.shape[-1] // LANES)
    full = np.zeros((*values.shape[:-1], blocks * LANES), values.dtype)
    full[..., : values.shape[-1]] = values
    return full.reshape(*values.shape[:-1], blocks, LANES)
