"""A ``.net`` file as data: a chain of layers, as lava-dl's netx loads it (0.6.0, lib/dl/netx/hdf5.py).

HDF5 without attributes, groups /layer/0, …: ``input``, ``flatten``, ``dense``, ``dense_rec``, ``conv``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exporters.nir.scan import opened
from strl.content import Content
from strl.errors import ModelError
from strl.quantize.neurons import DECAY_U, DECAY_V, THRESHOLD

Ints = NDArray[np.int64]

LAYERS_MAX = 1 << 10
KINDS = ("dense", "dense_rec", "conv")
_PAIRS = ("stride", "padding", "dilation")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer(Content):
    """Neurons of Loihi's kind and the weights that end in them.

    Args:
        kind: one of ``KINDS``.
        shape: (n,), or (channels, height, width) of a ``conv``.
        weight: whole numbers [out, in], or [out, in / groups, height, width] of a ``conv``.
        du, dv, vth: as ``strl.quantize.neurons.Lif`` has them, one value a neuron.
        recurrent: of ``dense_rec``, from the layer to itself, one tick late.
        delay: ticks beyond the one that every synapse takes, [out, in]; ``None`` where there are none.
        window: of ``conv``: stride, padding, dilation as (vertical, horizontal), and groups.
    """

    kind: str
    shape: tuple[int, ...]
    weight: Ints
    du: Ints
    dv: Ints
    vth: Ints
    recurrent: Ints | None = None
    delay: Ints | None = None
    window: Mapping[str, Any] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Net(Content):
    """The whole file: the shape of what is sent in, and the layers behind each other."""

    inputs: tuple[int, ...]
    layers: tuple[Layer, ...]


def encode(net: Net) -> bytes:
    """The file's bytes: the same for the same net."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        root = file.create_group("layer")
        _write_head(root.create_group("0"), "input", net.inputs)
        number, wide = 1, len(net.inputs) > 1
        for layer in net.layers:
            if wide and layer.kind != "conv":
                _write_head(root.create_group(str(number)), "flatten", (layer.weight.shape[1],))
                number += 1
            _write_layer(root.create_group(str(number)), layer)
            number, wide = number + 1, layer.kind == "conv"
    return buffer.getvalue()


def _write_head(group: h5py.Group, kind: str, shape: tuple[int, ...]) -> None:
    group["type"] = np.array([kind], "S10")
    group["shape"] = np.array(shape, np.int64)


def _write_layer(group: h5py.Group, layer: Layer) -> None:
    _write_head(group, layer.kind, layer.shape)
    group["weight"] = layer.weight.astype(np.int32)
    if layer.window is None:
        group["inFeatures"], group["outFeatures"] = layer.weight.shape[1], layer.size
    else:
        for key, value in layer.window.items():
            group[key] = np.asarray(value, np.int64)
    for key, value in (("weight_rec", layer.recurrent), ("delay", layer.delay)):
        if value is not None:
            group[key] = value.astype(np.int32)
    neuron = group.create_group("neuron")
    neuron["type"] = np.array(["CUBA"], "S10")
    neuron["iDecay"], neuron["vDecay"] = _compact(layer.du + 1), _compact(layer.dv)
    neuron["vThMant"] = _compact(layer.vth)
    neuron["refDelay"], neuron["gradedSpike"] = 1, False


def _compact(values: Ints) -> Any:
    """One number where all neurons have the same, as lava-dl writes it; the loader takes both."""
    return values if (values != values[0]).any() else int(values[0])


def decode(data: bytes, where: str) -> Net:
    """The net in a file's bytes.

    Raises:
        ModelError: it is no such file, or holds what Loihi's neurons do not have; names the layer.
    """
    with opened(data, where, ".net file") as file:
        root = _member(file, "layer", h5py.Group, where)
        if not 2 <= len(root) <= LAYERS_MAX or set(root) != {str(k) for k in range(len(root))}:
            raise ModelError(
                f"{where}: layers {', '.join(sorted(root)):.80}, must be 0, 1, … up to {LAYERS_MAX}"
            )
        groups = [_member(root, str(k), h5py.Group, where) for k in range(len(root))]
        kinds = [_text(group, "type", f"{where}: layer {k}") for k, group in enumerate(groups)]
        if kinds[0] != "input":
            raise ModelError(f"{where}: layer 0 is {kinds[0]!r}, must be 'input'")
        inputs = _shape(groups[0], f"{where}: layer 0")
        layers = [
            _read_layer(group, kind, f"{where}: layer {k}")
            for k, (group, kind) in enumerate(zip(groups, kinds, strict=True))
            if k and kind != "flatten"
        ]
    return Net(inputs=inputs, layers=tuple(layers))


def _read_layer(group: h5py.Group, kind: str, where: str) -> Layer:
    if kind not in KINDS:
        raise ModelError(f"{where}: is {kind!r:.40}, only input, flatten, {', '.join(KINDS)} are read")
    if "bias" in group:
        raise ModelError(f"{where}: has a bias in its neurons, which acts in every tick; strl's are synapses")
    shape = _shape(group, where)
    weight = _integers(group, "weight", where)
    size = math.prod(shape)
    if (weight.ndim, len(shape)) != ((4, 3) if kind == "conv" else (2, 1)) or weight.shape[0] != shape[0]:
        raise ModelError(f"{where}: weight of shape {weight.shape} does not fit {shape}")
    neuron = _member(group, "neuron", h5py.Group, where)
    if (model := _text(neuron, "type", where)) not in ("CUBA", "LOIHI"):
        raise ModelError(f"{where}: neurons of type {model!r:.40}, must be CUBA or LOIHI")
    return Layer(
        kind=kind,
        shape=shape,
        weight=weight,
        du=_each(neuron, "iDecay", size, (1, DECAY_U + 1), where) - 1,
        dv=_each(neuron, "vDecay", size, (0, DECAY_V), where),
        vth=_each(neuron, "vThMant", size, (0, THRESHOLD), where),
        recurrent=_square(group, "weight_rec", (size, size), where) if kind == "dense_rec" else None,
        delay=_square(group, "delay", weight.shape, where) if "delay" in group else None,
        window=_window(group, where) if kind == "conv" else None,
    )


def _window(group: h5py.Group, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in _PAIRS:
        pair = _integers(group, key, where)
        if pair.shape != (2,):
            raise ModelError(f"{where}: {key} has shape {pair.shape}, must be two numbers")
        found[key] = tuple(pair.tolist())
    return {**found, "groups": int(_each(group, "groups", 1, (1, 1 << 16), where)[0])}


def _square(group: h5py.Group, key: str, shape: tuple[int, ...], where: str) -> Ints:
    found = _integers(group, key, where)
    if found.shape != shape:
        raise ModelError(f"{where}: {key} has shape {found.shape}, must be {shape}")
    return found


def _shape(group: h5py.Group, where: str) -> tuple[int, ...]:
    found = _integers(group, "shape", where)
    if found.ndim != 1 or len(found) not in (1, 3) or found.min() < 1 or found.max() > 1 << 20:
        raise ModelError(f"{where}: shape {found.tolist()!r:.60}, must be one or three numbers")
    return tuple(found.tolist())


def _each(group: h5py.Group, key: str, size: int, bounds: tuple[int, int], where: str) -> Ints:
    """One number for each of ``size`` neurons; a file may give one for all."""
    found = _integers(group, key, where)
    if found.size not in (1, size) or found.min() < bounds[0] or found.max() > bounds[1]:
        raise ModelError(f"{where}: {key} must be 1 or {size} numbers of {bounds[0]}..{bounds[1]}")
    return np.broadcast_to(found.ravel(), size).copy()


def _integers(group: h5py.Group, key: str, where: str) -> Ints:
    dataset = _member(group, key, h5py.Dataset, where)
    if dataset.dtype.kind not in "iu" or not dataset.size:
        raise ModelError(f"{where}: {key} holds {dataset.dtype}, must be whole numbers")
    return np.asarray(dataset[()], np.int64)


def _text(group: h5py.Group, key: str, where: str) -> str:
    dataset = _member(group, key, h5py.Dataset, where)
    if dataset.dtype.kind != "S" or dataset.size != 1 or dataset.dtype.itemsize > 64:
        raise ModelError(f"{where}: {key} must be one short text")
    return bytes(np.asarray(dataset[()]).ravel()[0]).decode("ascii", "replace")


def _member(group: h5py.Group, key: str, kind: type[Any], where: str) -> Any:
    if key not in group or not isinstance(group[key], kind):
        raise ModelError(f"{where}: has no {key}")
    return group[key]
