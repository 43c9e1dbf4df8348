"""The picture of an episode: its frames, its spikes, what was seen and done, and when there is none."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gymnasium
import numpy as np
import pygame
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from numpy.typing import NDArray

import strl
from strl.cli.main import main
from strl.codecs import default_codec
from strl.errors import EnvironmentFault, StrlError, UsageError
from strl.ir import Readout, Semantics
from strl.loop.adopt import environment_spec
from strl.loop.environment import Environment
from strl.loop.evaluate import Entrant
from strl.loop.results import Evaluation
from strl.loop.trace import Trace
from strl.policies import SpikingPolicy
from strl.policies.mlp import MLPConfig, SpikingMLP
from strl.report.episode import BAND, bands, draw, frames, watched
from strl.report.png import png
from strl.testing.policies import PoleSubject

POLE = Environment(id="CartPole-v1")
SVG = "{http://www.w3.org/2000/svg}"


class Unseeded(CartPoleEnv):
    """Begins elsewhere every time."""

    count = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        Unseeded.count += 1
        return super().reset(seed=Unseeded.count, options=options)


class Blind(CartPoleEnv):
    """Draws nothing."""

    metadata = {"render_modes": []}  # noqa: RUF012


@pytest.fixture(autouse=True)
def worlds() -> Iterator[None]:
    gymnasium.register("strl-test/Unseeded-v0", entry_point=Unseeded, max_episode_steps=20)
    gymnasium.register("strl-test/Blind-v0", entry_point=Blind, max_episode_steps=20)
    yield
    for name in ("Unseeded", "Blind"):
        del gymnasium.registry[f"strl-test/{name}-v0"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Trace]:
    path = tmp_path_factory.mktemp("trace") / "trace.npz"
    found = strl.evaluate(PoleSubject(), episodes=1, seed=4, trace=path)
    return found, Trace.load(path)


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_png_is_read_by_others() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    read = pygame.image.load(io.BytesIO(png(image)), "x.png")
    assert np.array_equal(pygame.surfarray.array3d(read).transpose(1, 0, 2), image)


def test_bands_hold_every_spike_the_observations_and_the_actions(played: tuple[Evaluation, Trace]) -> None:
    found, trace = played
    length = len(trace.actions)
    drawn = list(bands(found, trace, length))
    assert [band.name for band in drawn] == ["observed", *found.computing, "done"]
    most = max(int(counts(trace, name).max()) for name in found.computing)
    for band in drawn[1:-1]:
        expected = counts(trace, band.name)
        spiking = expected[expected.sum(axis=1) > 0]
        assert band.values.shape == spiking.shape
        assert (np.diff(band.values.sum(axis=1)) <= 0).all(), "the busiest on top"
        assert sorted(map(tuple, np.rint(band.values * most))) == sorted(map(tuple, spiking))
        assert band.remark.startswith(f"{len(spiking)} of {len(expected)} neurons")
    assert any(len(band.values) for band in drawn[1:-1])
    seen, done = drawn[0].values, drawn[-1].values
    assert seen.shape == (4, length)
    assert seen.min(axis=1).tolist() == [0] * 4
    assert seen.max(axis=1).tolist() == [1] * 4
    assert np.array_equal(np.unique(trace.actions)[done.argmax(axis=0)], trace.actions)
    assert done.sum(axis=0).tolist() == [1] * length


def counts(trace: Trace, name: str) -> NDArray[np.int64]:
    return np.asarray(trace.rasters[:, :, trace.populations[name]].sum(axis=1).T, np.int64)


def test_frames_are_what_the_environment_showed(played: tuple[Evaluation, Trace]) -> None:
    _, trace = played
    last = len(trace.actions)
    drawn = frames(POLE, trace, [0, 3, last])
    assert list(drawn) == [0, 3, last]
    world = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    world.reset(seed=4)
    for decision in range(last + 1):
        if decision in drawn:
            assert np.array_equal(drawn[decision], np.asarray(world.render()))
        if decision < last:
            world.step(int(trace.actions[decision]))
    world.close()
    assert not np.array_equal(drawn[0], drawn[last])


def test_the_picture_says_what_it_is_of_and_is_the_same_again(played: tuple[Evaluation, Trace]) -> None:
    found, trace = played
    svg = draw(found, trace, POLE)
    assert svg == draw(found, trace, POLE)
    said = texts(svg)
    assert said[0].startswith("pole in CartPole-v1, loihi1 (loihi), seed 4: return ")
    assert {"before decision 0", f"after decision {len(trace.actions) - 1}", *found.computing} <= {*said}
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", ""), "it needs nothing from outside"


def test_a_band_has_a_column_a_decision_and_a_row_a_neuron(played: tuple[Evaluation, Trace]) -> None:
    found, trace = played
    drawn = [b for b in bands(found, trace, len(trace.actions)) if len(b.values)]
    images = re.findall(r'pixelated" href="data:image/png;base64,([^"]+)"', draw(found, trace, POLE))
    assert len(images) == len(drawn)
    for image, band in zip(images, drawn, strict=True):
        width, height = np.frombuffer(base64.b64decode(image)[16:24], ">u4").tolist()
        assert (height, width) == band.values.shape
        assert BAND[0] <= band.height <= BAND[1]


def test_names_from_files_are_text(played: tuple[Evaluation, Trace]) -> None:
    found, trace = played
    evil = "<script>alert(1)</script>"
    svg = draw(replace(found, subject=evil), trace, POLE)
    assert "<script" not in svg
    assert texts(svg)[0].startswith(evil)


def test_what_draws_nothing_has_its_spikes_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "blind.svg"
    strl.watch(PoleSubject(), picture, env="strl-test/Blind-v0")
    said = texts(picture.read_text("utf-8"))
    assert "lif1" in said
    assert not any(text.startswith(("before decision", "after decision")) for text in said)


def test_another_episode_is_not_passed_off_as_the_one_played(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="played again with seed 0, it differs at step 0") as caught:
        strl.watch(PoleSubject(), tmp_path / "x.svg", env="strl-test/Unseeded-v0")
    assert "something else than its seed" in caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.png", "x", "folder.svg"])
def test_a_wrong_place_is_refused_before_anything_is_played(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.svg").mkdir()
    monkeypatch.setattr("strl.report.episode.evaluate", lambda *_, **__: pytest.fail("it was played"))
    with pytest.raises(UsageError, match=r"the picture is an SVG|it is a folder"):
        strl.watch(PoleSubject(), tmp_path / name)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StrlError, match="the picture cannot be written: File exists"):
        strl.watch(PoleSubject(), tmp_path / "file" / "x.svg")


def test_continuous_actions(tmp_path: Path) -> None:
    world = Environment(id="Pendulum-v1").make()
    assert isinstance(world.observation_space, gymnasium.spaces.Box)
    encode, decode = default_codec(
        world.observation_space, world.action_space, low=[-1.0, -1.0, -8.0], high=[1.0, 1.0, 8.0]
    )
    semantics = Semantics(
        ticks=4,
        state="reset",
        readout=Readout(kind="membrane"),
        encoder=encode.to_dict(),
        decoder=decode.to_dict(),
        environment=environment_spec("Pendulum-v1", world),
    )
    torch.manual_seed(0)
    module = SpikingMLP(MLPConfig(inputs=encode.size, outputs=decode.size, hidden=(8,)))
    strl.watch(SpikingPolicy(module=module, semantics=semantics), tmp_path / "x.svg")
    said = texts((tmp_path / "x.svg").read_text("utf-8"))
    assert "actions lowest to highest" in said
    assert "after decision 199" in said


def test_run_draws_the_first_of_its_episodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "new" / "x.svg"
    plain = watched(Entrant.of(strl.load("cartpole-mlp"), "float"), picture=None, episodes=1, seed=3)
    command = ["run", "cartpole-mlp", "--episodes", "2", "--seed", "3", "--backend", "float", "--json"]
    assert main([*command, "--picture", str(picture)]) == 0
    assert plain.episodes[0].digest in capsys.readouterr().out
    assert "cartpole-mlp in CartPole-v1, float network, seed 3: return 500" in texts(picture.read_text())[0]
    assert main(["run", "cartpole-mlp", "--episodes", "1", "--picture", str(tmp_path / "x.png")]) == 2
    assert "the picture is an SVG" in capsys.readouterr().err
