"""The peer's way and ours, side by side."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.picture_samples import picture_bytes

TINY = ("--identities", 1, "--prompts", 2, "--images", 1, "--steps", 1, "--batch", 2, "--denoise-steps", 1)


def test_both_ways_make_the_same_and_are_compared_by_pairs(
    benchmark: Callable[..., dict[str, Any]], pipeline_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = benchmark("peers", "--case", "whole", "--pairs", 1, "--workers", 1, "--model", pipeline_folder, *TINY)
    assert facts["versions"]["torch"] and facts["processor"] and facts["peer"] == "stand-in, float32"
    whole = facts["cases"]["whole"]
    assert (whole["identities"], whole["pictures"], whole["goal"]) == (1, 2, 5.0)
    ((pair),) = whole["pairs"]
    assert whole["ratio"]["wall"]["median"] == pytest.approx(pair["peer"]["wall"] / pair["crossinit"]["wall"])
    assert whole["ratio"]["cpu"]["least"] == pytest.approx(pair["peer"]["cpu"] / pair["crossinit"]["cpu"])
    assert whole["reached"] == (whole["ratio"]["wall"]["median"] >= 5)
    assert "wall ratio" in capsys.readouterr().out


def test_a_checkout_without_the_script_is_a_sentence(
    benchmark: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        benchmark("peers", "--diffusers", tmp_path)
    assert "name a checkout of diffusers" in capsys.readouterr().err


@pytest.mark.parametrize(("way", "identities"), [("peer", 1), ("crossinit", 2)])
def test_a_loop_alone_says_what_a_step_of_one_identity_costs(
    way: str,
    identities: int,
    benchmarks: Path,
    pipeline_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    for number in range(identities):
        (faces / f"{number}.png").write_bytes(picture_bytes(number))
    words = ["--model", str(pipeline_folder), "--pictures", str(faces), "--steps", "2", "--batch", "1"]
    monkeypatch.setattr(sys, "argv", ["learning_loop", way, *words])
    runpy.run_path(str(benchmarks / "learning_loop.py"), run_name="__main__")
    loop = json.loads(capsys.readouterr().out)
    assert (loop["identities"], loop["steps"], loop["batch"]) == (identities, 2, 1)
    spent = loop["total"]["wall"] - loop["data"]["wall"]
    assert loop["step_of_one"]["wall"] == pytest.approx(spent / (2 * identities))
    assert (loop["data"]["wall"] > 0) == (way == "peer")


def test_turns_go_back_and_forth_and_ratios_are_those_of_pairs(benchmarks: Path) -> None:
    from timed_process import Cost
    from turns import in_turns

    order: list[str] = []
    costs = iter([Cost(6, 8), Cost(2, 2), Cost(1, 2), Cost(4, 6), Cost(9, 9), Cost(3, 1)])

    def way(name: str) -> Callable[[], Cost]:
        def measure() -> Cost:
            order.append(name)
            return next(costs)

        return measure

    found = in_turns(way("peer"), way("ours"), 3, lambda _line: None)
    assert order == ["peer", "ours", "ours", "peer", "peer", "ours"]
    assert (found.wall.median, found.wall.least, found.wall.most) == (3, 3, 4)
    assert (found.cpu.median, found.cpu.least, found.cpu.most) == (4, 3, 9)
    assert found.medians() == (Cost(6, 8), Cost(2, 2))


def test_a_command_that_fails_ends_the_benchmark_with_its_last_words(benchmarks: Path) -> None:
    from timed_process import timed

    cost, printed = timed([sys.executable, "-c", "print(sum(range(10**6)))"], {})
    assert printed.strip() == "499999500000" and cost.wall > 0 and cost.cpu > 0
    with pytest.raises(SystemExit, match=r"(?s)ended with 3:.*no such face"):
        timed([sys.executable, "-c", "import sys; print('no such face', file=sys.stderr); sys.exit(3)"], {})
