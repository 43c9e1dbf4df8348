"""Who wrote a file decides what it means: refusals, warnings, options, producers of one's own."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
from nir_files import X, chain, cuba, lif, simulated

from exporters.nir import encode, scan
from exporters.nir.graph import NEURONS
from exporters.nir.interpret import interpret
from exporters.nir.reading import Chosen, chosen, producers
from strl.cli import main
from strl.errors import ModelError, UsageError
from strl.ir import LIF, Input, Linear, Network, Output
from strl.loop.simulate import simulate_float
from strl.loop.subject import resolve
from strl.testing.cases import Case, cases

FOUND = cases(Path(__file__).parents[2] / "shared" / "cases" / "producers")


def test_readings_differ(tmp_path: Path) -> None:
    """One file, four readings, four results."""
    file = chain(tmp_path / "x.nir", lif())
    readings = ("nir", "spikingjelly:soft=true", "snntorch:reset=subtract", "snntorch:reset=none")
    assert len({simulated(file, reading, X).tobytes() for reading in readings}) == 4


class TestRefused:
    def test_an_ambiguous_file(self, tmp_path: Path) -> None:
        with pytest.raises(
            ModelError, match=r"as one of nengo .*; nir .*; snntorch .*; spikingjelly"
        ) as caught:
            resolve(str(chain(tmp_path / "x.nir", lif())))
        assert "--producer NAME" in caught.value.hint

    def test_a_later_norses_time_constants(self, tmp_path: Path) -> None:
        """Written as they are, they would come to seconds."""
        file = chain(tmp_path / "x.nir", lif(tau=4e-3, r=1.0, v_leak=0.3, v_reset=-0.2))
        with pytest.raises(ModelError, match="n0: tau comes to 4 s"):
            resolve(str(file), producer="norse")
        earlier = chain(tmp_path / "y.nir", lif(tau=4e-6, r=1.0, v_leak=0.3, v_reset=-0.2))
        found = simulated(file, "norse:tau_scale=1", 5 * X)
        assert found.tolist() == simulated(earlier, "norse", 5 * X).tolist()

    def test_a_file_that_no_reading_fits(self, tmp_path: Path) -> None:
        odd = chain(tmp_path / "x.nir", lif(tau=3e-5, r=7.0))
        with pytest.raises(
            ModelError, match=r"n0: tau = 3e-05 s is less .* no other producer's reading fits"
        ):
            resolve(str(odd))
        broken = chain(tmp_path / "y.nir", lif(), shape=(4,))
        with pytest.raises(ModelError, match=r"output: receives \(4,\), is declared \(1,\)$"):
            resolve(str(broken))

    def test_weights_alone_mean_the_same_to_everybody(self, tmp_path: Path) -> None:
        file = chain(tmp_path / "x.nir", nir.Affine(weight=np.full((1, 1), 2.0), bias=np.array([0.5])))
        (found,) = simulate_float(resolve(str(file)), X).values()
        assert found.tolist() == (2 * X + 0.5).tolist()

    @pytest.mark.parametrize(
        ("producer", "message"),
        [
            ("norse", "n0: r = 4, where its producer writes 1"),
            ("rockpool", r"n0: r = 4, where its producer writes tau\*exp"),
            ("snntorch:dt=1e-3", "n0: r = 4, where its producer writes tau/dt = 0.4"),
            ("spikingjelly:dt=2e-4", "n0: r = 4, where its producer writes 1 or tau/dt = 2"),
            ("nir:dt=1e-3", "n0: tau = 0.0004 s is less than a tick of dt = 0.001 s"),
            ("nir:dt=1,decay=exponential", "n0: tau = 0.0004 s: nothing is kept"),
        ],
    )
    def test_anothers_file_or_a_wrong_dt(self, producer: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=message):
            resolve(str(chain(tmp_path / "x.nir", lif())), producer=producer)

    @pytest.mark.parametrize(
        ("producer", "message"),
        [
            ("nest", "there is no producer 'nest'"),
            ("snntorch:reset", "'reset' is not an option"),
            ("snntorch:reset=half", "must be one of zero, subtract, once, none"),
            ("snntorch:reset=zero,reset=none", "given twice"),
            ("snntorch:resett=zero", "no option 'resett'"),
            ("snntorch:reset_delay=1", "must be true or false"),
            ("nir:dt=soon", "must be a number"),
            ("nir:dt=0", "dt = 0.0, must be a number above 0"),
            ("nir:dt=nan", "dt = nan, must be a number above 0"),
            ("nir:dt_if=-1", "dt_if = -1.0"),
            ("nir:floor=nan", "floor = nan"),
            ("nir:spike=multiple,reset=subtract", "spike = multiple goes with"),
            ("sinabs:multi=perhaps", "must be one of true, false"),
        ],
    )
    def test_options(self, producer: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=message):
            resolve(str(chain(tmp_path / "x.nir", lif())), producer=producer)

    def test_a_producer_for_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "folder.nir").mkdir()
        (tmp_path / "x.txt").write_text("")
        for name, said in {
            str(tmp_path / "x.nir"): r"x\.nir: there is no such file",
            str(tmp_path / "pole"): "pole: there is no such file",
            str(tmp_path / "folder.nir"): r"folder\.nir: is a folder",
            str(tmp_path / "x.txt"): r"x\.txt: is not a \.nir file",
            "cartpole-mlp": "cartpole-mlp: is a policy of ours",
        }.items():
            with pytest.raises(UsageError, match=said):
                resolve(name, producer="nir")
        for option in ("producer", "assume"):
            for empty in ("", " "):
                with pytest.raises(UsageError, match=f"--{option} is empty"):
                    resolve(str(tmp_path / "x.nir"), **{option: empty})
        with pytest.raises(UsageError, match="give one"):
            resolve("x.nir", producer="nir", assume="nir")


class TestWarnings:
    @staticmethod
    def warnings(file: Path, **who: str) -> list[str]:
        origin = resolve(str(file), **who).artefact.proof["origin"]
        return list(origin["warnings"])

    def test_what_nobody_said(self, tmp_path: Path) -> None:
        file = chain(tmp_path / "x.nir", lif())
        assert self.warnings(file, producer="snntorch:reset=subtract,reset_delay=true") == []
        (said,) = self.warnings(file, producer="snntorch")
        assert "does not say reset_mechanism, reset_delay; taken: reset_mechanism=subtract" in said
        first, second = self.warnings(file, assume="snntorch")
        assert "nothing says who wrote the file" in first
        assert second == said

    def test_only_what_matters(self, tmp_path: Path) -> None:
        """A Leaky that resets to zero spikes alike with or without delay; a Synaptic does not."""
        leaky = chain(tmp_path / "leaky.nir", lif())
        assert self.warnings(leaky, producer="snntorch:reset=zero") == []
        synaptic = chain(tmp_path / "synaptic.nir", cuba(2e-4, 4e-4, 4.0, 2.0))
        (said,) = self.warnings(synaptic, producer="snntorch:reset=zero")
        assert "does not say reset_delay; taken: reset_delay=true" in said

    def test_what_has_no_reading_is_said_where_it_could_be(self, tmp_path: Path) -> None:
        ones = np.ones(1)
        file = chain(tmp_path / "x.nir", nir.IF(r=ones, v_threshold=ones, v_reset=0 * ones))
        said = self.warnings(file, producer="sinabs")
        assert any("a cap on the spikes of a tick, MaxSpike(n)" in one for one in said)
        assert not any("MaxSpike" in one for one in self.warnings(file, producer="sinabs:multi=true"))

    def test_they_travel_with_what_is_made_of_the_file(self, tmp_path: Path) -> None:
        file = chain(tmp_path / "x.nir", lif())
        arguments = ["--assume", "snntorch", "--target", "nir", "-o", str(tmp_path / "y.nir"), "--json"]
        assert main(["export", str(file), *arguments]) == 0
        origin = resolve(str(tmp_path / "y.nir")).artefact.proof["origin"]
        assert origin["producer"] == "snntorch"
        assert origin["assumed"] is True
        assert len(origin["warnings"]) == 2
        with pytest.raises(UsageError, match=r"has a manifest, y\.nir\.json, which says"):
            resolve(str(tmp_path / "y.nir"), producer="snntorch")
        (ours,) = simulate_float(resolve(str(tmp_path / "y.nir")), X).values()
        assert ours.tolist() == simulated(file, "snntorch", X).tolist()


@pytest.mark.skipif(not FOUND, reason="the shared cases are not here")
@pytest.mark.parametrize("case", FOUND[::7], ids=lambda case: case.name)
def test_bytes_changed_anywhere(case: Case) -> None:
    """Whatever is changed in another's file: a network, or our error, and at once."""
    data = case.graph.read_bytes()
    rng, chosen_ = np.random.default_rng(0), chosen(case.producer)
    for _ in range(60):
        changed = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            changed[at] = rng.integers(0, 256)
        try:
            made, _ = interpret(scan(bytes(changed), "x.nir"), chosen_, "x.nir")
        except ModelError:
            continue
        assert isinstance(made, Network)


def test_what_strl_writes_is_snntorchs_convention(tmp_path: Path) -> None:
    """A network of ours, read without its manifest as snnTorch's, is the network that was written."""
    rng = np.random.default_rng(1)
    beta = rng.random(4).astype(np.float32).astype(np.float64)
    cells = LIF(alpha=np.zeros(4), beta=beta, threshold=np.ones(4), reset="subtract", reset_delay=True)
    nodes = {
        "input": Input(shape=(3,)),
        "fc": Linear(weight=rng.normal(size=(4, 3)), bias=rng.normal(size=4)),
        "lif": cells,
        "output": Output(shape=(4,)),
    }
    network = Network(nodes=nodes, edges=(("input", "fc"), ("fc", "lif"), ("lif", "output")))
    (tmp_path / "x.nir").write_bytes(encode(network))
    assert resolve(str(tmp_path / "x.nir"), producer="snntorch").network == network


class TestOwn:
    """A producer of the user's, as a TOML file."""

    @pytest.mark.parametrize(
        "line", ['spike = "x"', "dt = true", 'dt = "1"', "reset_delay = 1", "spike = []"]
    )
    def test_a_reading_that_is_none(self, line: str, tmp_path: Path) -> None:
        own = tmp_path / "mine.toml"
        own.write_text(f'title = "Mine"\nsource = "mine.py"\n[reading]\n{line}\n')
        with pytest.raises(UsageError, match=f"{line.split()[0]} = .*must be (one of|a)"):
            chosen(str(own))

    def test_it_is_read(self, tmp_path: Path) -> None:
        own = tmp_path / "mine.toml"
        own.write_text(
            'title = "Mine 1"\nsource = "mine.py"\n[reading]\nspike = "at"\nreset = "once"\n'
            '[options.soft]\nno = { reset = "zero" }\n'
        )
        file = chain(tmp_path / "x.nir", lif())
        theirs = simulated(file, "spikingjelly:soft=true", X)
        assert simulated(file, str(own), X).tolist() == theirs.tolist()
        assert simulated(file, f"{own}:soft=no", X).tolist() != theirs.tolist()

    @pytest.mark.parametrize(
        "text",
        ["title = ", 'title = "x"', "reading = 1", 'title="x"\nsource="y"\nmore=1', "[reading]\nx = 1"],
    )
    def test_what_is_none(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(UsageError, match=r"bad\.toml: is not a producer"):
            chosen(str(tmp_path / "bad.toml"))
        with pytest.raises(UsageError, match=r"none\.toml: is not a producer"):
            chosen(str(tmp_path / "none.toml"))


def test_each_producer_names_its_source() -> None:
    for producer in producers().values():
        unsaid = Chosen(producer=producer, given={}).unsaid(set(NEURONS) | {"Delay"})
        assert set(unsaid) == set(producer.unsaid)
        assert len(producer.source) > 40
        assert any(digit in producer.title + producer.source for digit in "0123456789")
        assert set(producer.unread) <= set(producer.unsaid)
        assert set(producer.unsaid) <= {*producer.options, *producer.reading.__slots__}
