"""The report: whole in itself, hostile text is text, spikes are aligned, and its input is checked."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strl.cli.main import main
from strl.errors import StrlError, UsageError
from strl.loop.trace import Trace
from strl.report import Chapter, Core, Difference, Divergence, page, run_of
from strl.report.page import write
from strl.report.raster import MOST_DECISIONS, align
from strl.report.sections import sections
from strl.report.source import chapters
from strl.report.text import percent, quantity, signed

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def energy(profile: str) -> dict[str, Any]:
    band = [1e-6, 5e-7, 2e-6]
    return {
        "profile": profile,
        "parts_j": {"synapses": [3e-8, 3e-8, 3e-8], "hops": [0.0, 0.0, 0.0], "static": band},
        "running_total_j": {"core": [3e-8, 3e-8, 3e-8], "host": band},
        "decision_s": [8e-5, 8e-5, 9e-5],
        "missing": ["reset"],
        "not_modelled": ["host traffic"],
        "sources": {"synop_dense": "Boyle 2025 (primary)"},
    }


def result(name: str, returns: list[float], **other: Any) -> dict[str, Any]:
    is_float = name == "float"
    return {
        "subject": "pole",
        "backend": name,
        "chip": None if is_float else "loihi1",
        "env": "CartPole-v1",
        "episodes": [
            {"seed": k, "return": r, "length": int(r), "digest": f"{k}" * 64} for k, r in enumerate(returns)
        ],
        "return": {"mean": float(np.mean(returns)), "std": 0.0, "iqm": float(np.mean(returns)), "ci95": None},
        "decisions": 100,
        "ticks_per_decision": 8 if is_float else 11,
        "wall_s": 1.0,
        "rates": {"lif1": 0.05} if is_float else {"input": 0.3, "lif1": 0.04},
        "activity": None if is_float else {"synaptic_ops": 12345, "active_updates": None},
        "energy_profiles": {} if is_float else {"loihi1-silicon": energy("loihi1-silicon")},
        "digest": "f" * 64,
        **other,
    }


def comparison() -> dict[str, Any]:
    return {
        "a": result("float", [500.0, 500.0]),
        "b": result("loihi", [500.0, 480.0]),
        "action_agreement": 0.997,
        "return_difference": {"mean": -10.0, "ci95": [-20.0, 0.0], "iqm": -10.0},
        "equivalent": True,
        "populations": {
            "lif1": {"share": 0.01, "first": {"seed": 0, "decision": 4, "tick": 2}},
            "out": {"share": None, "first": None},
        },
    }


def trace(rasters: np.ndarray[Any, Any], offset: int, seed: int = 0) -> Trace:
    decisions = len(rasters)
    return Trace(
        seed=seed,
        observations=np.arange(decisions * 2.0).reshape(decisions, 2),
        actions=np.zeros(decisions, np.int64),
        rasters=rasters,
        populations={"lif1": slice(0, rasters.shape[2])},
        offsets={"lif1": offset},
    )


def text_of(html: str) -> str:
    """What a reader sees, without scripts and styles."""

    class Reader(HTMLParser):
        hidden = False
        seen = ""

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.hidden = tag in ("script", "style")

        def handle_endtag(self, tag: str) -> None:
            self.hidden = False

        def handle_data(self, data: str) -> None:
            self.seen += "" if self.hidden else data + " "

    reader = Reader()
    reader.feed(html)
    return reader.seen


def figures(html: str) -> list[Any]:
    """What the page's own script draws: [element, figure] pairs."""
    found = re.search(r"for \(const \[name, figure\] of (\[.*\])\)Plotly", html)
    assert found
    return list(json.loads(found[1]))


def test_the_page_fetches_nothing() -> None:
    html = page([Chapter(title="pole", runs=(run_of(result("loihi", [500.0]), "x"),))])
    own = re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", own)
    assert "@import" not in own
    assert "default-src 'none'" in own
    assert html.count("plotly.js v") == 1, "plotly is inlined once"
    assert 'name="viewport"' in own


def plot_of(chapter: Chapter, title: str) -> dict[str, Any]:
    (found,) = [section.figure for section in sections(chapter) if section.title == title]
    assert found is not None
    return found


def test_runs_that_coincide_have_marks_of_their_own() -> None:
    names = ("float", "loihi", "lava", "lava-fused", "torch")
    runs = tuple(run_of(result(name, [500.0, 480.0]), name) for name in names)
    drawn = plot_of(Chapter(title="pole", runs=runs), "Returns")
    marks = [d["marker"] for d in drawn["data"] if d["mode"] == "markers"]
    assert len({(mark["symbol"], mark["color"]) for mark in marks}) == len(names)
    assert len({mark["symbol"] for mark in marks}) == len(names)


@pytest.mark.parametrize(("count", "axis"), [(3, {"dtick": 1}), (100, {"tickformat": "d"})])
def test_seeds_are_whole_numbers(count: int, axis: dict[str, Any]) -> None:
    run = run_of(result("loihi", [float(k) for k in range(count)]), "x")
    assert axis.items() <= plot_of(Chapter(title="pole", runs=(run,)), "Returns")["layout"]["xaxis"].items()


def test_layers_that_are_called_by_numbers_are_names() -> None:
    run = run_of(result("loihi", [1.0], rates={"0": 0.1, "2": 0.2}), "x")
    drawn = plot_of(Chapter(title="pole", runs=(run,)), "Firing")
    assert drawn["data"][0]["y"] == ["0", "2"]
    assert drawn["layout"]["yaxis"]["type"] == "category"


def test_a_lower_bound_is_marked_at_the_number() -> None:
    lacking = {**energy("loihi1-silicon"), "at_least": ["host"]}
    run = run_of(result("loihi", [1.0], energy_profiles={"loihi1-silicon": lacking}), "x")
    seen = text_of(page([Chapter(title="pole", runs=(run,))])).replace("\xa0", " ")
    assert "≥ 1 µJ" in seen
    assert "≥ 30 nJ" not in seen
    old = run_of(result("loihi", [1.0]), "x")  # says only that something is missing
    assert "≥ 30 nJ" in text_of(page([Chapter(title="pole", runs=(old,))])).replace("\xa0", " ")


def test_the_same_input_gives_the_same_bytes() -> None:
    chapter = Chapter(title="pole", runs=(run_of(result("loihi", [1.0]), "x"),))
    assert page([chapter]) == page([chapter])


def test_text_from_files_stays_text() -> None:
    data = result("loihi", [1.0, 2.0], subject=EVIL, env=EVIL, backend=EVIL, chip=EVIL, rates={EVIL: 0.1})
    hostile = energy(EVIL)
    hostile["sources"] = {EVIL: EVIL}
    data["energy_profiles"] = {EVIL: hostile}
    chapter = Chapter(
        title=EVIL,
        runs=(run_of(data, "x"),),
        difference=Difference(
            action_agreement=1.0,
            mean=0.0,
            ci95=None,
            equivalent=False,
            populations={EVIL: Divergence(share=0.5, first=(0, 1, 2))},
        ),
        cores=(Core(index=0, populations=(EVIL,), use={EVIL: (1, 2)}),),
    )
    html = page([chapter], title=EVIL)
    assert EVIL in text_of(html)
    assert html.count("<script>") == 2, "plotly and the script that draws"
    assert html.count("</script>") == 2
    assert "<img" not in re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    assert EVIL not in json.dumps(figures(html)), "plotly reads some tags in labels"


def test_what_a_comparison_says_is_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "compare.json"
    path.write_text(json.dumps(comparison()))
    seen = text_of(page(chapters([path]))).replace("\u00a0", " ")
    for words in (
        "99.7 %",
        "98 %",
        "loihi1-silicon",
        "-10",
        "seed 0, decision 4, tick 2",
        "no spikes",
        "30 nJ",
    ):
        assert words in seen
    assert "reset" in seen, "an event without a figure is named"
    assert "500 nJ – 2 µJ" in seen, "the band is shown"
    assert "Boyle 2025 (primary)" in seen


def test_nothing_is_said_where_nothing_is_known() -> None:
    chapter = Chapter(title="pole", runs=(run_of(result("float", [500.0]), "x"),))
    assert [s.title for s in sections(chapter)] == ["", "Returns", "Firing"]


def test_spikes_are_aligned_by_the_offset() -> None:
    rng = np.random.default_rng(0)
    reference = (rng.random((3, 8, 5)) < 0.3).astype(np.uint8)
    chip = np.zeros((3, 11, 5), np.uint8)
    chip[:, 2:10] = reference
    found = align(trace(chip, 2), trace(reference, 0))
    assert (found.ticks, found.decisions, found.same) == (8, 3, 3)
    assert found.only_chip == found.only_float == ()
    assert len(found.both) == reference.sum()
    reference[1, 4, 3] ^= 1
    spike = reference[1, 4, 3] == 1
    changed = align(trace(chip, 2), trace(reference, 0))
    assert (changed.only_float if spike else changed.only_chip) == ((12, 3),)


def test_rasters_are_shown_while_both_see_the_same() -> None:
    spikes = np.ones((30, 4, 2), np.uint8)
    other = trace(spikes, 0)
    moved = other.observations.copy()
    moved[5:] += 1
    parted = Trace(**{f: getattr(other, f) for f in other.__slots__} | {"observations": moved})
    assert align(other, parted).decisions == 5
    assert align(other).decisions == MOST_DECISIONS


def test_a_wide_population_is_cut_and_said_to_be() -> None:
    found = align(trace(np.ones((1, 2, 200), np.uint8), 0))
    assert found.cut == ("lif1",)
    assert found.height == 64


def test_backends_are_compared_episode_by_episode() -> None:
    first, second = result("loihi", [1.0, 2.0, 3.0]), result("lava", [1.0, 2.0])
    second["episodes"][1]["digest"] = "0" * 64
    chapter = Chapter(title="pole", runs=(run_of(first, "x"), run_of(second, "x")))
    (body,) = [s.body for s in sections(chapter) if s.title == "Backends"]
    assert "1 of 2" in body
    assert 'class="bad"' in body


def test_runs_of_one_policy_become_one_chapter(tmp_path: Path) -> None:
    for name, data in (("a", result("loihi", [1.0])), ("b", result("float", [1.0]))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(data))
    (found,) = chapters([tmp_path / "a", tmp_path / "b"])
    assert [run.backend for run in found.runs] == ["float", "loihi"]


def test_a_trace_beside_a_result_is_shown(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(result("loihi", [1.0])))
    trace(np.ones((2, 4, 3), np.uint8), 0).save(tmp_path / "trace.npz")
    (chapter,) = chapters([tmp_path])
    assert "Spikes" in [s.title for s in sections(chapter)]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"backend": 3}', "not json", '{"a": 1, "b": 2}'])
def test_what_is_no_run_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(str(path))):
        chapters([path])


def test_an_unfinished_run_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="not finished") as raised:
        chapters([tmp_path])
    assert "again" in raised.value.hint


def test_every_field_of_a_run_is_needed_or_may_be_absent() -> None:
    """Taking any field away gives either a run or a UsageError, never anything else."""
    whole = result("loihi", [1.0, 2.0])
    for name in whole:
        part = {k: v for k, v in whole.items() if k != name}
        try:
            run_of(part, "x")
        except UsageError as error:
            assert name in error.message  # noqa: PT017 - some fields may be absent


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StrlError, match="cannot be written"):
        write(tmp_path / "file" / "report.html", [])
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_command_writes_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "compare.json"
    path.write_text(json.dumps(comparison()))
    out = tmp_path / "deep" / "report.html"
    assert main(["report", str(path), "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["report"] == str(out)
    assert out.stat().st_size == said["bytes"]
    assert main(["report", str(tmp_path / "none"), "-o", str(out)]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 J"), (3e-8, "30 nJ"), (1.234e-6, "1.23 µJ"), (12.0, "12 J"), (2e-16, "0.2 fJ")],
)
def test_quantities(value: float, text: str) -> None:
    assert quantity(value, "J").replace("\u00a0", " ") == text


def test_a_percentage_is_full_or_nothing_only_where_it_is_so() -> None:
    plain = [percent(s).replace("\u00a0", " ") for s in (0.0, 1e-6, 0.5, 0.99999, 1.0)]
    assert plain == ["0 %", "< 0.1 %", "50 %", "> 99.9 %", "100 %"]
    assert [signed(v) for v in (0.0, 1.5, -2.0)] == ["0", "+1.5", "-2"]
