"""README says what the committed results say."""

from __future__ import annotations

from benchmarks.results import README, START, STOP, committed, table
from benchmarks.tables import between


def test_the_table_is_made_from_the_committed_results() -> None:
    text = README.read_text("utf-8")
    assert between(text, START, STOP, table(committed())) == text, (
        "run `python -m benchmarks.results --table`"
    )


def test_what_the_results_promise() -> None:
    found = {result["policy"]: result for result in committed()}
    floor = {
        "cartpole-mlp": 495.0,
        "lunarlander-mlp": 220.0,
        "acrobot-mlp": -90.0,
        "cartpole-hidden-transformer": 495.0,
        "cartpole-hidden-transformer-4bit": 495.0,
        "lunarlander-transformer": 220.0,
        "maze-transformer": -60.0,
    }
    assert set(found) == set(floor)
    for name, least in floor.items():
        comparison = found[name]["comparison"]
        assert len(comparison["a"]["episodes"]) == 100
        assert comparison["a"]["return"]["iqm"] >= least
        assert comparison["equivalent"]
        digests = found[name]["lava"]["digest"]
        assert digests["lava"] == digests["loihi"]
