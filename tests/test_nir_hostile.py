"""Foreign files cost little, whatever is in them: one error, at once, in bounded memory, no other file."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

CASES = Path(__file__).parents[2] / "shared" / "cases" / "bad_files"

SECONDS = 1.0
BYTES = 200 << 20

CHILD = """
import json, sys, time
from pathlib import Path
from exporters.nir import NirExporter
from strl.errors import StrlError

paths = [Path(name) for name in sys.argv[1:]]
try:  # what is imported on the way is imported now
    NirExporter().load_foreign(paths[0], "nir")
except StrlError:
    pass
opened, found, current = [], {}, ""
sys.addaudithook(lambda event, args: event == "open" and not isinstance(args[0], int)
                 and opened.append(str(args[0])))
for path in paths:
    opened.clear()
    for how in ("load", "nir", "snntorch", "sinabs"):
        began, message = time.process_time(), None
        try:
            exporter = NirExporter()
            exporter.load(path) if how == "load" else exporter.load_foreign(path, how)
        except StrlError as error:
            message = str(error)
        except Exception as error:
            message = ["another error than ours", repr(error)]
        found[f"{path}|{how}"] = [time.process_time() - began, message]
    mine = (path, Path(f"{path}.json"))
    others = [n for n in opened if Path(n) not in mine and Path(n).suffix not in (".py", ".pyc", ".toml")]
    found[f"{path}|opened"] = [0.0, others]
# Not getrusage, which counts the parent's memory before the exec as well.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({"found": found, "bytes": int(status["VmHWM"].split()[0]) * 1024}))
"""


def examined(*paths: Path) -> dict[str, dict[str, tuple[float, object]]]:
    """File → way of reading → (seconds, message); and the memory is checked."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    said = json.loads(done.stdout)
    assert said["bytes"] <= BYTES
    found: dict[str, dict[str, tuple[float, object]]] = {}
    for key, (seconds, message) in said["found"].items():
        path, how = key.rsplit("|", 1)
        found.setdefault(path, {})[how] = (seconds, message)
    return found


def check(found: dict[str, tuple[float, object]], path: Path) -> None:
    assert found.pop("opened")[1] == []
    for how, (seconds, message) in found.items():
        assert isinstance(message, str), f"{path.name} was read ({how})"
        assert message.startswith(str(path)), message
        assert "\n" not in message.removesuffix("\n").partition("\n  hint:")[0]
        assert seconds <= SECONDS, f"{path.name} took {seconds:.2f} s ({how})"


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and inotify")


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
def test_shared_bad_files() -> None:
    paths = sorted(CASES.glob("*.nir"))
    found = examined(*paths)
    for path in paths:
        if path.stem == "scalar_lif":  # sound: one number for all neurons. But whose is not told
            assert found[str(path)]["nir"][1] is None
            del found[str(path)]["nir"]
        check(found[str(path)], path)


def sound(path: Path) -> Path:
    nodes = {
        "input": nir.Input(input_type={"input": np.array([3])}),
        "fc": nir.Linear(weight=np.eye(3)),
        "lif": nir.LIF(
            tau=np.full(3, 1e-3),
            r=np.ones(3),
            v_leak=np.zeros(3),
            v_threshold=np.ones(3),
            v_reset=np.zeros(3),
        ),
        "output": nir.Output(output_type={"output": np.array([3])}),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=edges))
    return path


def changed(path: Path, change: Callable[[h5py.File], None]) -> Path:
    with h5py.File(sound(path), "r+") as file:
        change(file)
    return path


def replaced(name: str, **settings: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **settings)

    return change


def nested(file: h5py.File) -> None:
    """Graphs in graphs, 200 deep."""
    at = file["node"]
    for _ in range(200):
        inner = at.create_group("nodes/deeper") if "deeper" not in at.get("nodes", {}) else at["nodes/deeper"]
        inner.create_dataset("type", data="NIRGraph")
        at = inner


def many(file: h5py.File) -> None:
    """40 000 nodes."""
    nodes = file["node/nodes"]
    for number in range(40_000):
        nodes.create_group(f"n{number}")


def large(file: h5py.File) -> None:
    """Weights of 128 gigabytes in a few kilobytes."""
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_dataset("weight", (1 << 17, 1 << 17), "f8", chunks=(8, 8))


def promised(file: h5py.File) -> None:
    """As many weights as any file may have, none of them there; and an edge that does not fit them."""
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_dataset("weight", (1 << 12, 1 << 12), "f8", chunks=(1 << 10, 1 << 10))


def long_text(path: Path) -> Path:
    """A text that says it is 4 gigabytes long, for which HDF5 makes room before it looks."""
    data = bytearray(sound(path).read_bytes())
    with h5py.File(path) as file:
        at = file["node/nodes/fc/type"].id.get_offset()
    data[at : at + 4] = b"\xff" * 4
    path.write_bytes(data)
    return path


def kernel(file: h5py.File) -> None:
    """A convolution whose zeros around would fill any memory."""
    node = file["node/nodes/fc"]
    del node["weight"], node["type"]
    node["type"], node["weight"], node["bias"] = "Conv1d", np.ones((3, 3, 1)), np.zeros(3)
    node["stride"], node["dilation"], node["groups"], node["padding"] = 1, 1, 1, 1 << 40


def chained(file: h5py.File) -> None:
    """A chain of 1000 nodes, which is as long as may be, and a loop at its end that may not be."""
    names = [f"s{number}" for number in range(1000)]
    for name in names:
        node = file["node/nodes"].create_group(name)
        node["type"], node["scale"] = "Scale", np.ones(3)
    edges = [["input", "fc"], ["fc", names[0]], *map(list, pairwise(names)), [names[-1], "lif"]]
    edges += [["lif", "output"], [names[-1], names[-2]]]
    del file["node/edges"]
    file["node"].create_dataset("edges", data=edges, dtype=h5py.string_dtype())


def spread(file: h5py.File) -> None:
    """A window whose taps lie far apart, and numbers for neurons that any shape would fit."""
    kernel(file)
    node = file["node/nodes/fc"]
    del node["padding"], node["dilation"], file["node/nodes/input/shape"]
    node["padding"], node["dilation"] = "same", 1 << 40
    file["node/nodes/input/shape"] = np.array([3, 5])


def wide(file: h5py.File) -> None:
    """As many zeros around an input as there may be, into neurons that any shape would fit."""
    kernel(file)
    del file["node/nodes/input/shape"], file["node/nodes/lif"]
    file["node/nodes/input/shape"] = np.array([3, 5])
    neuron = file["node/nodes"].create_group("lif")
    neuron["type"] = "LIF"
    for field, value in (("tau", 1e-3), ("r", 1.0), ("v_leak", 0.0), ("v_threshold", 1.0)):
        neuron[field] = np.full(1, value)


def late(file: h5py.File) -> None:
    """A delay of 10 billion ticks."""
    node = file["node/nodes/fc"]
    del node["weight"], node["type"]
    node["type"], node["delay"] = "Delay", np.full(3, 1e6)


def blocks(file: h5py.File) -> None:
    """An Affine of many small matrices, whose block matrix would fill the memory."""
    node = file["node/nodes/fc"]
    del node["weight"]
    node["weight"] = np.ones((50_000, 3, 3))
    del file["node/nodes/input/shape"]
    file["node/nodes/input/shape"] = np.array([50_000, 3])


MADE: dict[str, Callable[[h5py.File], None]] = {
    "nested": nested,
    "many": many,
    "large": large,
    "promised": promised,
    "kernel": kernel,
    "spread": spread,
    "wide": wide,
    "chained": chained,
    "late": late,
    "blocks": blocks,
    "huge input": replaced("node/nodes/input/shape", data=np.array([1 << 40, 1 << 40])),
    "huge sizes": replaced("node/nodes/input/shape", data=np.array([2**63 - 1])),
    "no neurons in a loop": replaced(
        "node/edges",
        data=[["input", "fc"], ["fc", "fc"], ["fc", "lif"], ["lif", "output"]],
        dtype=h5py.string_dtype(),
    ),
    "unreached": replaced("node/edges", data=[["fc", "lif"], ["lif", "output"]], dtype=h5py.string_dtype()),
    "edges of bytes": replaced("node/edges", data=np.array([[b"\xff", b"fc"]], dtype="S4")),
    "nan tau": replaced("node/nodes/lif/tau", data=np.full(3, np.nan)),
    "tiny tau": replaced("node/nodes/lif/tau", data=np.full(3, 1e-300)),
    "huge r": replaced("node/nodes/lif/r", data=np.full(3, 1e308)),
    "threshold below reset": replaced("node/nodes/lif/v_threshold", data=np.full(3, -1.0)),
    "text for a type": replaced("node/nodes/lif/type", data="L" * 100_000),
}


def test_made_files(tmp_path: Path) -> None:
    paths = [long_text(tmp_path / "long text.nir")]
    paths += [changed(tmp_path / f"{name}.nir", change) for name, change in MADE.items()]
    whole = sound(tmp_path / "whole.nir").read_bytes()
    for name, data in {
        "empty": b"",
        "text": b"not HDF5",
        "half": whole[: len(whole) // 2],
        "superblock": whole[:96],
        "zeros": b"\x89HDF\r\n\x1a\n" + bytes(5000),
    }.items():
        paths.append(tmp_path / f"{name}.nir")
        paths[-1].write_bytes(data)
    found = examined(*paths)
    for path in paths:
        check(found[str(path)], path)


class Watch:
    """Tells whether a file was opened by anybody (Linux's inotify), C libraries included."""

    OPENED = 0x20

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.events = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self.events, str(path).encode(), self.OPENED) > 0

    def opened(self) -> bool:
        try:
            event = os.read(self.events, 4096)
        except BlockingIOError:
            return False
        return bool(struct.unpack_from("iI", event)[1] & self.OPENED)


class TestElsewhere:
    @pytest.fixture
    def secret(self, tmp_path: Path) -> Path:
        path = tmp_path / "secret.h5"
        with h5py.File(path, "w") as file:
            file["weight"] = np.eye(3)
        return path

    @pytest.mark.parametrize("way", ["storage", "link", "virtual"])
    def test_no_other_file_is_opened(self, way: str, secret: Path, tmp_path: Path) -> None:
        def change(file: h5py.File) -> None:
            del file["node/nodes/fc/weight"]
            node = file["node/nodes/fc"]
            if way == "storage":
                node.create_dataset("weight", (3, 3), "f8", external=[(str(secret), 0, 72)])
            elif way == "link":
                node["weight"] = h5py.ExternalLink(str(secret), "weight")
            else:
                layout = h5py.VirtualLayout(shape=(3, 3), dtype="f8")
                layout[:] = h5py.VirtualSource(str(secret), "weight", shape=(3, 3))
                node.create_virtual_dataset("weight", layout)

        path = changed(tmp_path / "bad.nir", change)
        watch = Watch(secret)
        found = examined(path)
        assert not watch.opened()
        check(found[str(path)], path)
        with h5py.File(path) as file:  # and the watch does see it when it happens
            assert file["node/nodes/fc/weight"][()].shape == (3, 3)
        assert watch.opened()
