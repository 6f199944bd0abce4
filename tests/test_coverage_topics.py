"""The study of what is not said of a table of rewards: its laws are drawn as said, and truths are those of the laws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from alignlib.bottleneck import capacity
from benchmarks.coverage import feedback, policies, runner, runs, summary
from benchmarks.coverage.topics import topic_of, topic_version, topics, try_topic


def test_at_least_half_of_the_laws_are_drawn_by_rule() -> None:
    for topic in (runs.TOPIC, policies.TOPIC, feedback.RATINGS, feedback.RATERS):
        assert topic in topics()
        blind = [name for name in topic.laws if name.startswith("blind by rule")]
        assert len(blind) >= len(topic.laws) / 2
        assert all(topic_of(name) is topic for name in topic.laws)
    assert topic_of("normal") is None


def test_policies_have_the_kl_that_is_said() -> None:
    rng = np.random.default_rng(0)
    for kinds in (policies._by_rule(1), policies._rare_word(), policies._spread()):
        for one in kinds[:: len(kinds) // 3]:
            ratio = one.draw(rng, 40_000, False)
            assert ratio.mean() == pytest.approx(one.kl, abs=5.0 * ratio.std() / 200.0)
            weights = np.exp(one.draw(rng, 40_000, True))
            assert weights.mean() == pytest.approx(1.0, abs=5.0 * weights.std() / 200.0 + 0.02)


def test_runs_turn_where_it_is_said() -> None:
    for law in (runs.Runs("best_of_n", 1.0, 0.1, 0.1, 0.1), runs.Runs("rl", 1.5, 0.6, 0.1, 0.1)):
        kl = np.linspace(0.5, 2.0, 3001) * law.peak
        gold = law.curve(np.sqrt(kl), law.alpha, law.beta)
        assert kl[gold.argmax()] == pytest.approx(law.peak, rel=1e-3)


def test_raters_are_drawn_from_their_channel() -> None:
    name, rows = next(iter(feedback.CHANNELS.items()))
    trial = topic_of(name)
    assert trial is not None
    found = try_topic(name, "3000 labels a target", 0, 3)["statements"]["capacity"]
    assert found["held_claimed"][0] >= 2
    assert capacity(rows).value < np.log(len(rows))


def test_pieces_are_resumed_and_summed_up(tmp_path: Path) -> None:
    out = tmp_path / "others.jsonl"
    pieces = [{**try_topic("√KL, noise with memory", "6 runs × 15", first, 2), "code": "x"} for first in (0, 2)]
    out.write_text("".join(json.dumps(one) + "\n" for one in pieces), encoding="utf-8")
    (row,) = summary.read(out)
    assert (row.tables, row.tried, row.statement) == (4, 4, "α of a scaling fit")
    summary.write_pooled([row], tmp_path / "pooled.csv")
    pooled = (tmp_path / "pooled.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    assert pooled[:5] == ["scaling fits", row.statement, "6 runs × 15", "1", "4"]
    of_cells = dict(zip(summary.POOLED, pooled, strict=True))
    assert (of_cells["fewest"], of_cells["cells"]) == ("4", "1")
    assert float(of_cells["misled"]) == 1.0 - int(of_cells["held"]) / 4.0
    assert int(of_cells["above"]) == (of_cells["held"] == "4")
    more = (tmp_path / "pooled.csv").read_text(encoding="utf-8").replace(",1,4,", ",1,5,")
    (tmp_path / "pooled.csv").write_text(more, encoding="utf-8")
    summary.write_pooled([row], tmp_path / "pooled.csv")  # fewer tables than are there
    assert (tmp_path / "pooled.csv").read_text(encoding="utf-8") == more
    asked = runner._other_pieces(300, ["noise with memory"], ["6 runs"], {})
    assert {one[3] for one in asked} == {0, 100, 200}
    asked = runner._other_pieces(300, ["noise with memory"], ["6 runs", "3 runs"], {}, deep=True)
    assert [one[2] for one in asked][::3] == ["3 runs × 10"] * (len(asked) // 6) + ["6 runs × 15"] * (len(asked) // 6)
    done = {("√KL, noise with memory", "6 runs × 15", ""): set(range(100))}
    left = runner._other_pieces(300, ["√KL, noise"], ["6 runs × 15"], done)
    assert [one[3] for one in left] == [100, 200]
    assert {one[1] for one in runner._other_pieces(1, None, None, {}, ["opponents"])} == set(
        next(topic for topic in topics() if topic.name == "opponents").laws
    )


def test_a_part_of_a_piece_is_resumed_where_it_ended() -> None:
    assert runner.left(250, 100, set(range(50)) | {120}) == [(50, 50), (100, 20), (121, 79), (200, 50)]
    assert runner.left(100, 25, set(range(200))) == []
    assert len(topic_version("scaling fits")) == 8
