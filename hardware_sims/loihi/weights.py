"""The weights of a program in the three forms that the kernel reads.

- ``DENSE``: the weights of neuron i of a sender are the ``BLOCKS`` rows from ``base + i · BLOCKS`` on, base
  being ``HALVES`` (w >> 1) or ``ODDS`` (w & 1; NEVER where no weight is odd).
- ``SHARED``: every weight of a convolution once, as *patches*: what a spike adds to the places that it
  reaches, for each channel and each remainder of its place by the stride. A patch is ``SPAN`` rows, ``PITCH``
  apart, of places · channels of a group, zeros where nothing falls. Sums are made block by block in a plane
  of ``GROUPS`` · ``HEIGHT`` lines of ``WIDTH``, which hold places · channels, filled up to whole blocks. What
  block b of a line receives comes from few neighbouring columns of the ``GRID`` of places at which senders
  may stand, [groups, ``GRID_HEIGHT``, ``GRID_WIDTH``]: from table[``SEEN`` + 2·b] up to the entry after it.
  ``table`` has for each sender its place there (from ``PLACES`` on) and where its patch would begin were it
  to fall on the first place of a line (``PATCHES``); and for each neuron where its sum is in the plane
  (``GATHER``). Rows of a patch begin and end with a block of zeros where a block may begin before them or go
  beyond. ``MOST`` of them add up in 16 bits, whatever they are.
- ``LISTED``: for each sender i the entries of ``table`` from table[``PLACES`` + i] up to that of i + 1, each
  target · 512 + weight + 256; four at a time. One entry takes as long as 64 weights of a dense row.

``fastest`` chooses among them.
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

CACHE = 2**20
"""Bytes of rows that a convolution may be unrolled to: what the second-level cache holds."""
UNROLLED = 2**24
"""Pairs of neurons of a convolution that may be looked at for its list."""
BUSY = 0.2
"""Share of senders that spike in a tick, for choosing a form."""


def fastest(synapse: Synapse) -> int:
    """The form in which a tick takes least time, by what each form's steps took in ns (Zen 5, one core)."""
    post, pre = synapse.shape
    blocks, spikes = -(-post // LANES), BUSY * pre
    if not isinstance(synapse.weight, Kernel):
        dense = spikes * blocks * (0.27 if pre * blocks * LANES <= CACHE else 0.45)
        return columns.LISTED if _listing(synapse.count / pre, post, spikes) < dense else columns.DENSE
    shared = synapse.weight
    taps = np.count_nonzero(shared.weight) * shared.shape[1] * shared.shape[2] / pre
    (_, high, wide), (per_out, _, rows, reach) = shared.shape, shared.weight.shape
    channels = per_out // shared.groups
    lines = shared.groups * high * -(-wide * channels // LANES)
    visits = rows / shared.stride[0] * ((reach / shared.stride[1] * channels - 1) / LANES + 1)
    costs = {
        columns.SHARED: post * 0.4 + lines * rows * 2 + spikes * (2.5 + 0.4 * visits),
        columns.LISTED: _listing(taps, post, spikes) if post * pre <= UNROLLED else np.inf,
        columns.DENSE: spikes * blocks * 0.27 if pre * blocks * LANES <= CACHE else np.inf,
    }
    return min(costs, key=lambda form: costs[form])


def _listing(weights: float, post: int, spikes: float) -> float:
    """Time of a tick with so many weights a sender, in ns; an entry has room for 2²² targets."""
    if post > 2**22:
        return np.inf
    return post * 0.1 + spikes * (3.3 + 0.64 * (weights + 1.5))


class Weights:
    """All weights of a program: ``add`` them, then ``finish``."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {
            "rows": [np.zeros((0, LANES), np.int8)],
            "patches": [np.zeros(0, np.int16)],
            "table": [np.zeros(0, np.int32)],
        }

    def add(self, synapse: Synapse) -> dict[int, int]:
        """Entries of the synapse's row in the kernel's table: column → value."""
        form = fastest(synapse)
        if form == columns.SHARED and isinstance(synapse.weight, Kernel):
            return self._shared(synapse.weight)
        return self._listed(synapse.matrix) if form == columns.LISTED else self._dense(synapse.matrix)

    def finish(self) -> dict[str, NDArray[Any]]:
        """``rows`` int8 [n, LANES], ``patches`` int16 [n], ``table`` int32 [n], from a cache line on."""
        return {name: _aligned(parts) for name, parts in self._parts.items()}

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
        lengths = np.bincount(pre, minlength=weight.shape[1])
        whole = -(-lengths // 4) * 4
        ends = np.cumsum(whole)
        # The rest of each list's last four adds 0 to neuron 0.
        entries = np.full(int(ends[-1]), 256, np.int32)
        within = np.arange(len(pre)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        entries[np.repeat(ends - whole, lengths) + within] = post * 512 + weight[post, pre] + 256
        first = self._append("table", entries)
        bounds = first + np.concatenate([[0], ends])
        return {columns.FORM: columns.LISTED, columns.PLACES: self._append("table", bounds.astype(np.int32))}

    def _shared(self, shared: Kernel) -> dict[int, int]:
        ways = _Way(shared, 0), _Way(shared, 1)
        channels, out = shared.image[0], shared.shape[0]
        per_in, per_out = channels // shared.groups, out // shared.groups
        y, x = ways
        margin = LANES if per_out % LANES else 0
        rows = np.pad(self._patches(shared, ways), ((0, 0), (0, 0), (margin, margin)))
        rows = padded(rows).reshape(*rows.shape[:-1], -1)
        first = self._append("patches", rows.ravel()) + margin
        # Patch number (channel, phase of y, phase of x), and where it falls.
        patch = np.arange(channels)[:, None, None] * (y.phases * x.phases)
        patch = patch + (y.phase * x.phases)[:, None] + x.phase
        start = first + patch * rows[0].size - (x.start - x.reach + 1) * per_out
        group = np.arange(channels)[:, None, None] // per_in
        height, width = int(y.start.max()) + 1, int(x.start.max()) + 1
        place = (group * height + y.start[:, None]) * width + x.start
        o, (lines, line) = np.arange(out)[:, None, None], shared.shape[1:]
        pitch = -(-line * per_out // LANES) * LANES
        gather = (o // per_out * lines + np.arange(lines)[:, None]) * pitch
        gather = gather + np.arange(line) * per_out + o % per_out
        block = np.arange(0, pitch, LANES)
        low, high = block // per_out, (block + LANES - 1) // per_out + x.reach
        seen = np.stack([np.minimum(low, width), np.minimum(high, width)], axis=1)
        return {
            columns.FORM: columns.SHARED,
            columns.PLACES: self._append("table", place.astype(np.int32).ravel()),
            columns.PATCHES: self._append("table", start.astype(np.int32).ravel()),
            columns.GATHER: self._append("table", gather.astype(np.int32).ravel()),
            columns.GRID: shared.groups * height * width,
            columns.GRID_HEIGHT: height,
            columns.GRID_WIDTH: width,
            columns.GROUPS: shared.groups,
            columns.HEIGHT: lines,
            columns.WIDTH: pitch,
            columns.SEEN: self._append("table", seen.astype(np.int32).ravel()),
            columns.SPAN: y.reach,
            columns.PITCH: rows.shape[-1],
            columns.MOST: (2**15 - 1) // max(1, int(np.abs(shared.weight).max())),
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
    and those with the same phase f have the same taps there.
    """

    def __init__(self, shared: Kernel, axis: int) -> None:
        stride, padding, dilation = (way[axis] for way in (shared.stride, shared.padding, shared.dilation))
        count = shared.weight.shape[2 + axis]
        self.phases = stride
        self.start, self.phase = np.divmod(np.arange(shared.image[1 + axis]) + padding, stride)
        self.reach = (count - 1) * dilation // stride + 1
        # Phase and place in the patch of every tap.
        self.taps = [(j * dilation % stride, self.reach - 1 - j * dilation // stride) for j in range(count)]


def _aligned(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """The parts as one array that begins with a cache line."""
    shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
    size = int(np.prod(shape)) * parts[0].itemsize
    room = np.empty(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    whole = room[start : start + size].view(parts[0].dtype).reshape(shape)
    return np.concatenate(parts, out=whole)


def padded(values: NDArray[Any]) -> NDArray[Any]:
    """[..., n] → [..., blocks, LANES], filled up with zeros."""
    blocks = -(-values.shape[-1] // LANES)
    full = np.zeros((*values.shape[:-1], blocks * LANES), values.dtype)
    full[..., : values.shape[-1]] = values
    return full.reshape(*values.shape[:-1], blocks, LANES)
