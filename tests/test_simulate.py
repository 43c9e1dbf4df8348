"""strl simulate, a bare network made a policy, and arrays on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from nir_files import Nodes, into, lifs, line, out, write

from strl.cli import main
from strl.codecs.stream import stream
from strl.errors import ChipError, ModelError, UsageError
from strl.loop.adopt import adopted
from strl.loop.arrays import read_array, write_arrays
from strl.loop.simulate import simulate_float
from strl.loop.stream import as_stream
from strl.loop.subject import resolve

RNG = np.random.default_rng(11)


class TestAdopted:
    """A bare network made a policy."""

    def test_it_drives_its_environment(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        rng = np.random.default_rng(0)
        hidden = (
            nir.Linear(weight=rng.normal(size=(8, 4))),
            lifs(8),
            nir.Linear(weight=rng.normal(size=(2, 8))),
        )
        model, bundle = line(tmp_path / "x.nir", (4,), (2,), *hidden), str(tmp_path / "x.bundle")
        arguments = [
            "--producer",
            "snntorch:reset=zero",
            "--env",
            "CartPole-v1",
            "--ticks",
            "6",
            "-o",
            bundle,
        ]
        assert main(["export", str(model), *arguments, "--json"]) == 0
        (said,) = json.loads(capsys.readouterr().out)["proof"]["origin"]["warnings"]
        assert "no codec; taken for CartPole-v1: encoder direct, its ranges those that random" in said
        assert main(["run", bundle, "--episodes", "2", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert len(found["episodes"]) == 2
        assert main(["run", bundle, "--episodes", "2", "--backend", "float", "--json"]) == 0

    @pytest.mark.parametrize(("last", "kind"), [(lifs(2), "count"), (None, "membrane")])
    def test_the_read_out(self, last: Any, kind: str, tmp_path: Path) -> None:
        nodes = [nir.Linear(weight=np.ones((2, 4))), *([] if last is None else [last])]
        bare = resolve(str(line(tmp_path / "x.nir", (4,), (2,), *nodes)), producer="nir")
        made = adopted(bare, "CartPole-v1")
        assert (made.semantics.readout.kind, made.semantics.ticks) == (kind, 32)
        assert ("readout" in made.network.nodes) == (last is None)
        with pytest.raises(UsageError, match="has a codec and an environment of its own"):
            adopted(made, "CartPole-v1")

    def test_a_leaky_integrator_is_read_at_its_potential(self, tmp_path: Path) -> None:
        leaky = nir.LI(tau=np.full(2, 1e-3), r=np.full(2, 10.0), v_leak=np.zeros(2))
        nodes = (nir.Linear(weight=np.ones((2, 4))), leaky)
        bare = resolve(str(line(tmp_path / "x.nir", (4,), (2,), *nodes)), producer="nir")
        assert adopted(bare, "CartPole-v1").semantics.readout.kind == "membrane"


class TestSimulate:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return line(tmp_path / "x.nir", (3,), (2,), nir.Linear(weight=np.ones((2, 3))))

    def test_the_command(self, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        np.save(tmp_path / "in.npy", np.arange(12, dtype=np.int16).reshape(4, 3))
        made = tmp_path / "made" / "out.npy"
        made.parent.mkdir()
        arguments = ["simulate", str(model), "--input", str(tmp_path / "in.npy"), "-o", str(made), "--json"]
        assert main(arguments) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["outputs"]["output"]["shape"] == [4, 2]
        assert np.load(made).tolist() == [[3, 3], [12, 12], [21, 21], [30, 30]]
        assert [p.name for p in made.parent.iterdir()] == ["out.npy"]

    def test_a_policy(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        np.save(tmp_path / "in.npy", np.full((12, 4), 0.5))
        assert main(["simulate", "cartpole-mlp", "--input", str(tmp_path / "in.npy"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["outputs"]["output"]["shape"][0] == 12

    def test_inspect_shows_a_bare_network(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = str(line(tmp_path / "x.nir", (3,), (3,), lifs(3)))
        assert main(["inspect", path, "--assume", "snntorch:reset=zero"]) == 0
        shown = capsys.readouterr().out
        assert "read as one of snnTorch 1.0.0, as snntorch:reset=zero" in shown
        assert "WARNING   nothing says who wrote the file" in shown
        assert "n0: lif [3] alpha=0 beta=0.9 threshold=1 reset=zero" in shown
        assert main(["inspect", path, "--assume", "snntorch", "--json"]) == 0
        assert "program" not in json.loads(capsys.readouterr().out)

    def test_several_outputs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        scale = nir.Scale(scale=np.full(3, 2.0))
        nodes: Nodes = {"input": into(3), "s": scale, "a": out(3), "b": out(3)}
        edges = [("input", "s"), ("s", "a"), ("input", "b")]
        model = str(write(tmp_path / "x.nir", nodes, edges))
        np.save(tmp_path / "in.npy", np.ones((2, 3)))
        given = ["simulate", model, "--input", str(tmp_path / "in.npy"), "-o"]
        assert main([*given, str(tmp_path / "o.npz")]) == 0
        with np.load(tmp_path / "o.npz") as found:
            assert {name: float(found[name].mean()) for name in found.files} == {"a": 2.0, "b": 1.0}
        assert main([*given, str(tmp_path / "o.npy")]) == UsageError.exit_code
        assert "there are 2 outputs" in capsys.readouterr().err
        assert main([*given, str(tmp_path / "o.npy"), "--node", "b"]) == 0
        assert np.load(tmp_path / "o.npy").mean() == 1
        assert main([*given, str(tmp_path / "o.npy"), "--node", "c"]) == UsageError.exit_code

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.ones((4, 2)), r"the input has shape \[4, 2\], the network takes \[ticks, 3\]"),
            (np.ones(3), r"takes \[ticks, 3\]"),
            (np.ones((0, 3)), r"takes \[ticks, 3\]"),
            (np.array([[1, np.nan, 0]]), "holds a value that is not finite"),
            (np.ones((2, 3), complex), "holds complex128, must be real numbers"),
            (np.array([["a", "b", "c"]]), "must be real numbers"),
            (np.array([[{}, {}, {}]], dtype=object), "holds object, must be real numbers"),
            (np.zeros((1,), "f4,i4"), "must be real numbers"),
        ],
    )
    def test_inputs_that_are_refused(
        self, values: np.ndarray, message: str, model: Path, tmp_path: Path
    ) -> None:
        np.save(tmp_path / "in.npy", values, allow_pickle=True)
        with pytest.raises(UsageError, match=message):
            simulate_float(resolve(str(model)), read_array(tmp_path / "in.npy"))

    @pytest.mark.parametrize("output", ["", ".", "/", "made"])
    def test_an_output_that_is_a_folder(
        self, output: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "made").mkdir()
        np.save(tmp_path / "in.npy", np.ones((2, 3)))
        where = str(tmp_path / "made") if output == "made" else output
        assert main(["simulate", str(model), "--input", str(tmp_path / "in.npy"), "-o", where]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "cannot be written: it is a folder\n  hint: name a file" in err
        with pytest.raises(UsageError, match="is a folder"):
            write_arrays(Path(where), {"x": np.ones(2)})
        assert not list((tmp_path / "made").iterdir())

    @pytest.mark.parametrize(
        ("option", "said"),
        [
            (["--input-unit", "0"], "--input-unit = 0, must be"),
            (["--input-unit", "nan"], "--input-unit = nan, must be"),
            (["--input-unit", "inf"], "--input-unit = inf, must be"),
            (["--input-unit", "1e-320"], "--input-unit = 9.99989e-321, must be"),
            (["--input-unit", "1e300"], "must be 7.88861e-31 to 1.26765e+30"),
            (["--input-bits", "0"], "--input-bits = 0, must be 1..15"),
        ],
    )
    def test_units_and_bits_that_cannot_be(
        self, option: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bare = str(line(tmp_path / "y.nir", (3,), (3,), lifs(3)))
        np.save(tmp_path / "in.npy", np.ones((2, 3)))
        given = ["simulate", bare, "--producer", "snntorch", "--input", str(tmp_path / "in.npy")]
        assert main([*given, "--backend", "loihi", *option]) == UsageError.exit_code
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("values", "option", "said", "fits"),
        [
            (np.ones((2, 3)), ["--input-unit", "1e20"], "--input-unit = 1e+20: every value", True),
            (np.ones((2, 3)), ["--input-unit", "2"], "magnitudes up to 1, becomes level 0", True),
            (np.full((2, 3), -3.0), ["--input-unit", "1e9"], "magnitudes up to 3, becomes level 0", True),
            (np.full((2, 3), -3.0), ["--input-bits", "1"], "--input-bits = 1: every value", False),
            (np.array([[-100.0, 1, 0]]), ["--input-bits", "1"], "magnitudes up to 100, becomes", True),
        ],
    )
    def test_a_unit_that_leaves_nothing_of_the_input(
        self,
        values: np.ndarray,
        option: list[str],
        said: str,
        fits: bool,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        bare = str(line(tmp_path / "y.nir", (3,), (3,), lifs(3)))
        np.save(tmp_path / "in.npy", values)
        given = ["simulate", bare, "--producer", "snntorch", "--input", str(tmp_path / "in.npy")]
        assert main([*given, "--backend", "loihi", *option]) == UsageError.exit_code
        message = capsys.readouterr().err
        assert said in message
        if not fits:
            assert "one bit has no negative level" in message
            return
        unit, _, bits = message.rpartition("hint: ")[2].strip().partition(" fits, with --input-bits ")
        subject = resolve(bare, producer="snntorch")
        made = stream(as_stream(subject, values, unit=float(unit), bits=int(bits)).semantics.encoder)
        assert made.levels(values).any()

    def test_a_bundle_that_hears_nothing_of_its_input(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bare = str(line(tmp_path / "y.nir", (3,), (3,), lifs(3)))
        bundle, given = str(tmp_path / "y.bundle"), ["--input", str(tmp_path / "in.npy"), "--json"]
        np.save(tmp_path / "in.npy", np.full((2, 3), 0.25))
        assert main(["export", bare, "--producer", "snntorch", "--chip", "loihi2", "-o", bundle]) == 0
        capsys.readouterr()
        assert main(["simulate", bundle, *given, "--backend", "loihi"]) == 0
        *_, warning = json.loads(capsys.readouterr().out)["warnings"]
        assert warning.startswith("every value of the input, of magnitudes up to 0.25, becomes level 0")

    @pytest.mark.parametrize("backend", ["float", "loihi"])
    @pytest.mark.parametrize("value", [1e308, -1e31, 5e-324, 1e-31, 2.0**100, 2.0**-100, 0.0])
    def test_inputs_of_every_size(
        self, value: float, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Refused where they are beyond what is computed with, else an answer that is finite."""
        bare = str(line(tmp_path / "y.nir", (3,), (3,), lifs(3)))
        np.save(tmp_path / "in.npy", np.full((2, 3), value))
        given = ["simulate", bare, "--producer", "snntorch", "--input", str(tmp_path / "in.npy"), "--json"]
        code = main([*given, "--backend", backend])
        out, err = capsys.readouterr()
        small = backend == "loihi" and 0 < value < 2.0**-100
        if abs(value) > 2.0**100 or small:
            assert code == UsageError.exit_code
            assert "scale the input" in err
        elif code:
            assert code in (ChipError.exit_code, ModelError.exit_code)
        else:
            assert json.loads(out)["ticks"] == 2

    def test_an_output_beyond_double_precision(self, tmp_path: Path) -> None:
        scales = [nir.Scale(scale=np.full(3, 1e29)) for _ in range(11)]
        bare = resolve(str(line(tmp_path / "y.nir", (3,), (3,), *scales)), producer="nir")
        with pytest.raises(
            ModelError, match="output 'output' leaves the range of double precision in tick 1"
        ):
            simulate_float(bare, np.array([[0.0] * 3, [1.0] * 3]))


class TestArrays:
    @pytest.mark.parametrize("dtype", ["<f4", ">f8", "i1", "?", "<u2"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_numbers_of_every_kind(self, dtype: str, order: Any, tmp_path: Path) -> None:
        values = np.asarray(RNG.integers(0, 2, (3, 4, 2)), dtype=dtype, order=order)
        np.save(tmp_path / "x.npy", values)
        found = read_array(tmp_path / "x.npy")
        assert found.dtype == np.float64
        assert found.tolist() == values.astype(float).tolist()

    def test_a_promise_of_gigabytes(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npy"
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"shape": (1 << 40, 1 << 20), "fortran_order": False, "descr": "<f8"}
            )
        with pytest.raises(UsageError, match="at most 134217728 numbers are read"):
            read_array(path)

    @pytest.mark.parametrize(
        "data", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00" + b" " * 90, b"PK\x03\x04" + b"x" * 90, b"x" * 200]
    )
    def test_what_is_no_array(self, data: bytes, tmp_path: Path) -> None:
        (tmp_path / "x.npy").write_bytes(data)
        with pytest.raises(UsageError, match=r"is not a \.npy file"):
            read_array(tmp_path / "x.npy")

    def test_a_header_that_is_code(self, tmp_path: Path) -> None:
        header = b"{'shape': __import__('os').getcwd(), 'fortran_order': False, 'descr': '<f8'}\n"
        data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        (tmp_path / "x.npy").write_bytes(data)
        with pytest.raises(UsageError, match=r"is not a \.npy file"):
            read_array(tmp_path / "x.npy")

    def test_files_cut_short_or_too_long(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.ones((5, 5)))
        data = (tmp_path / "x.npy").read_bytes()
        for changed in (data[:-3], data + b"more"):
            (tmp_path / "x.npy").write_bytes(changed)
            with pytest.raises(UsageError, match="is damaged"):
                read_array(tmp_path / "x.npy")

    def test_no_file(self, tmp_path: Path) -> None:
        import os

        os.mkfifo(tmp_path / "pipe.npy")
        for name in ("pipe.npy", "missing.npy", "."):
            with pytest.raises(UsageError, match=r"not a regular file|cannot be read"):
                read_array(tmp_path / name)

    def test_nothing_is_left_where_writing_fails(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        with pytest.raises(UsageError, match="cannot be written"):
            write_arrays(tmp_path / "there", {"x": np.ones(2)})
        assert [p.name for p in tmp_path.iterdir()] == ["there"]
