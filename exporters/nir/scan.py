"""A NIR file examined before anything believes it.

HDF5 can point into other files, run in circles, promise gigabytes in kilobytes and load code to unpack
itself; NIR's own reader follows all of that, and checks by ``assert``. So this goes through every object
first, by links and headers, and only then looks at values.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import h5py
import numpy as np

from exporters.nir.graph import NESTING_MAX, Graph, read_graph, text_of
from strl.errors import ModelError

FILE_MAX = 256 << 20
"""Bytes of a file."""
VALUES_MAX = 1 << 24
"""Numbers in a file; Loihi 1 has 16.7 million 8-bit synapses in all."""
FREE = 1 << 21
"""Numbers that any file may hold, however small it is."""
PACKED = 32
"""Numbers beyond them that a byte of the file may stand for: zeros pack a thousandfold, and cost memory."""
OBJECTS_MAX = 1 << 13
"""Groups and datasets in a file, and pieces of a dataset: 1024 nodes have no more."""
TEXTS_MAX = 1 << 13
"""Texts in a dataset; edges have two each."""
DEPTH_MAX = 2 * NESTING_MAX + 4
"""Groups in groups; each nested graph is two."""
VERSION = (1, 0)
"""Newest NIR version that is read."""
DEFLATE = 1
PIPELINE = (2, DEFLATE, 3)
"""Filters that are unpacked, in this order: shuffle, gzip, fletcher32. Others may be loaded as code."""


def scan(data: bytes, where: str) -> Graph:
    """Examine a file's bytes, and return what stands in it.

    Raises:
        ModelError: the first thing that is wrong; names the file, the object and the limit.
    """
    with opened(data, where, "NIR file") as file:
        _version(file, where)
        return read_graph(file, where)


@contextmanager
def opened(data: bytes, where: str, what: str) -> Iterator[h5py.File]:
    """An HDF5 file that is a tree of plain groups and values in the file itself, within bounds.

    Args:
        data: the file's bytes.
        where: its name, for messages.
        what: it should be.

    Raises:
        ModelError: it is not; also for whatever HDF5 finds wrong while it is open.
    """
    if not data.startswith(b"\x89HDF\r\n\x1a\n"):
        raise ModelError(f"{where}: is not a {what}: not HDF5", hint=f"a {what} is made by `strl export`")
    _heaps(data, where)
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            _objects(file, data, where)
            yield file
    except ModelError:
        raise
    except Exception as error:  # h5py raises whatever the C library's trouble maps to
        raise ModelError(f"{where}: is damaged: {error}") from error


def _heaps(data: bytes, where: str) -> None:
    """Global heaps, where HDF5 keeps text, hold entries of a size: at one of size 0 it never returns.

    Layout: HDF5 File Format Specification 3.0, III.E: "GCOL", version, 3 bytes, size of the whole (8), then
    entries: index (2), references (2), 4 bytes, size (8), data in multiples of 8. Entry 0 is what is free.
    """
    start = data.find(b"GCOL")
    while start >= 0:
        size = int.from_bytes(data[start + 8 : start + 16], "little")
        if not 16 <= size <= len(data) - start:
            raise ModelError(f"{where}: is damaged: a heap of {size} bytes")
        at = start + 16
        while at + 16 <= start + size:
            index = int.from_bytes(data[at : at + 2], "little")
            length = int.from_bytes(data[at + 8 : at + 16], "little")
            taken = 16 + (length + 7) // 8 * 8 if index else length
            if taken < 16 or at + taken > start + size:
                raise ModelError(f"{where}: is damaged: a heap entry of {length} bytes")
            at += taken
        start = data.find(b"GCOL", start + 4)


def _objects(file: h5py.File, data: bytes, where: str) -> None:
    """Only plain groups and datasets, each reached once, within bounds; no value is read."""
    seen: set[int] = set()
    values, limit = 0, min(VALUES_MAX, max(FREE, PACKED * len(data)))
    for name, item in _walk(file, where, "", 0):
        address = int(h5py.h5o.get_info(item.id).addr)
        if address in seen:
            raise ModelError(f"{where}: {name}: is reached in two ways; a NIR file is a tree")
        seen.add(address)
        if len(seen) > OBJECTS_MAX:
            raise ModelError(f"{where}: has more than {OBJECTS_MAX} objects")
        if isinstance(item, h5py.Dataset):
            _stored_here(item, f"{where}: {name}")
            if h5py.check_string_dtype(item.dtype) is not None:
                _texts(item, data, f"{where}: {name}")
            values += item.size
            if values > limit:
                raise ModelError(
                    f"{where}: {name}: has shape {item.shape}; {limit} numbers are read of such a file"
                )


def _walk(group: h5py.Group, where: str, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > DEPTH_MAX:
        raise ModelError(f"{where}: {path}: groups nest deeper than {DEPTH_MAX}")
    if len(group) > OBJECTS_MAX:
        raise ModelError(f"{where}: {path}: has {len(group)} entries, at most {OBJECTS_MAX} are read")
    for key in group:
        name = f"{path}/{key}"
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ModelError(
                f"{where}: {name}: is a {type(link).__name__}; links to elsewhere are not followed"
            )
        item = group[key]
        if not isinstance(item, h5py.Group | h5py.Dataset):
            raise ModelError(f"{where}: {name}: is neither a group nor a dataset")
        yield name, item
        if isinstance(item, h5py.Group):
            yield from _walk(item, where, name, depth + 1)


def _stored_here(dataset: h5py.Dataset, where: str) -> None:
    """Values that lie in this file, of plain types, and unpack to no more than they say."""
    if dataset.external or dataset.is_virtual:
        raise ModelError(f"{where}: its values lie in another file, which is not read")
    if h5py.check_string_dtype(dataset.dtype) is None and dataset.dtype.kind not in "fiub":
        raise ModelError(f"{where}: values of type {dataset.dtype}, must be real numbers or text")
    if dataset.shape is None:
        raise ModelError(f"{where}: is empty")
    if dataset.chunks is not None:
        _unpacks_to_its_size(dataset, where)


def _texts(dataset: h5py.Dataset, data: bytes, where: str) -> None:
    """Texts are few and short. One of free length says how long it is, and HDF5 makes room for that first.

    Layout: HDF5 File Format Specification 3.0, IV.B: length (4), then a heap's address (8) and an index (4).
    """
    if dataset.size > TEXTS_MAX:
        raise ModelError(f"{where}: holds {dataset.size} texts, at most {TEXTS_MAX} are read")
    length = h5py.check_string_dtype(dataset.dtype).length
    if length is not None:
        total = length * dataset.size
    else:
        start, stored = dataset.id.get_offset(), dataset.id.get_storage_size()
        if stored and (start is None or stored != 16 * dataset.size):
            raise ModelError(f"{where}: texts stand otherwise than in a row, which is not read")
        lengths = np.frombuffer(data[start : start + stored] if stored else b"", dtype="<u4")
        total = int(lengths[::4].sum(dtype=np.int64))
    if total > len(data):
        raise ModelError(f"{where}: promises texts of {total} bytes, in a file of {len(data)}")


def _unpacks_to_its_size(dataset: h5py.Dataset, where: str) -> None:
    """HDF5 unpacks a chunk as far as it goes, whatever size it has; so that is tried here, with a bound."""
    if prod(dataset.chunks) > VALUES_MAX or dataset.id.get_num_chunks() > OBJECTS_MAX:
        raise ModelError(f"{where}: has {dataset.id.get_num_chunks()} chunks of {dataset.chunks}")
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if filters != [known for known in PIPELINE if known in filters]:
        raise ModelError(f"{where}: is packed otherwise than by shuffle, gzip, fletcher32")
    if DEFLATE not in filters:
        return
    size = prod(dataset.chunks) * dataset.dtype.itemsize
    for number in range(dataset.id.get_num_chunks()):
        offset = dataset.id.get_chunk_info(number).chunk_offset
        skipped, packed = dataset.id.read_direct_chunk(offset)
        if skipped:
            raise ModelError(f"{where}: has chunks packed differently")
        if len(zlib.decompressobj().decompress(packed, size + 1)) != size:
            raise ModelError(f"{where}: a chunk does not unpack to its {size} bytes")


def _version(file: h5py.File, where: str) -> None:
    found = text_of(file, "version", where)
    parts = found.split(".")
    if len(parts) < 2 or not all(p.isdigit() for p in parts[:2]):
        raise ModelError(f"{where}: NIR version {found!r} is not a version")
    if (int(parts[0]), int(parts[1])) > VERSION:
        newest = ".".join(map(str, VERSION))
        raise ModelError(
            f"{where}: is NIR version {found}, this strl reads up to {newest}", hint="update strl"
        )
