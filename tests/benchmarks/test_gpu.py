"""The benchmark for GPUs, on what is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_every_part_is_measured_and_what_is_not_is_named(
    benchmark: Callable[..., dict[str, Any]], pipeline_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = benchmark("gpu", "--smoke", "--model", pipeline_folder, "--device", "cpu")
    unet = facts["unet"]
    variants = {(row["variant"], row["work"], row["samples"]) for row in unet["speeds"]}
    names = {name for name, _, _ in variants} - {"repeating exactly"}
    assert {"eager", "channels_last", "attention: math"} <= names and len(variants) == 4 * len(names) + 2
    for row in unet["speeds"]:
        ways = 1 if row["work"] == "forward" else 2.1
        assert row["tflops"] * row["seconds"] == pytest.approx(ways * row["samples"] * unet["tflop_a_sample"])
    assert [row["identities"] for row in facts["learning"]] == [1, 2]
    assert facts["learning"][-1]["repeats_exactly"] is True
    one = facts["learning"][0]
    assert one["seconds_at_320_steps"] == pytest.approx(320 * one["step_seconds"] + one["encoding_seconds"])
    assert [(row["steps"], row["together"]) for row in facts["drawing"]] == [(2, 1), (1, 1)]
    assert (
        facts["finishing"].keys() == {"decoding_seconds", "encoding_seconds"} and min(facts["finishing"].values()) > 0
    )
    assert [row["precision"] for row in facts["peer"]["learning"]] == ["float32"]
    assert [row["steps"] for row in facts["peer"]["drawing"]] == [2, 1]
    assert facts["left_out"] == ["compiling"] and facts["gpu"] is None and facts["goals"] == []
    assert "left out: compiling" in capsys.readouterr().out


def test_a_part_that_fails_is_named_and_costs_no_other(
    benchmark: Callable[..., dict[str, Any]], pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_parts import Bench

    def broken(self: Bench) -> None:
        raise RuntimeError("CUDA error: misaligned address\nmore")

    monkeypatch.setattr(Bench, "peer_drawing", broken)
    monkeypatch.setattr(Bench, "unet", broken)
    facts = benchmark("gpu", "--smoke", "--model", pipeline_folder, "--device", "cpu")
    what = "(failed: CUDA error: misaligned address)"
    assert facts["left_out"] == [f"U-Net {what}", "compiling", f"peer's drawing {what}"]
    assert facts["unet"] is None and len(facts["learning"]) == len(facts["drawing"]) == 2


def test_what_was_found_before_a_part_is_kept_when_it_ends_everything(
    benchmark: Callable[..., dict[str, Any]], pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_parts import Bench

    def killed(self: Bench) -> None:
        (file,) = (Path(word) for word in sys.argv if word.endswith(".json"))
        kept.append(json.loads(file.read_text()))
        raise KeyboardInterrupt

    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(Bench, "peer_drawing", killed)
    facts = benchmark("gpu", "--smoke", "--model", pipeline_folder, "--device", "cpu")
    assert len(kept[0]["learning"]) == 2 and kept[0]["unet"] and kept[0]["left_out"] == ["compiling"]
    assert facts["left_out"] == ["compiling", "what was to come when it was interrupted"]
    assert facts["learning"] == kept[0]["learning"] and facts["peer"]["drawing"] is None


def test_no_time_left_leaves_everything_out(benchmark: Callable[..., dict[str, Any]], pipeline_folder: Path) -> None:
    facts = benchmark("gpu", "--smoke", "--minutes", 0, "--model", pipeline_folder, "--device", "cpu")
    assert facts["unet"] is None and facts["drawing"] == [] and facts["peer"] == {"learning": [], "drawing": None}
    assert len(facts["left_out"]) == 8


def test_goals_ask_for_seconds_and_for_a_lead_over_the_peers_better_way(benchmarks: Path) -> None:
    from gpu_report import Goal, reached

    def learned(seconds: float) -> dict[str, float]:
        return {"seconds_at_320_steps": 10 * seconds, "seconds_at_25_steps": seconds}

    facts = {
        "learning": [learned(1.2), learned(0.8)],
        "drawing": [{"steps": 50, "seconds_a_picture": 0.2}],
        "peer": {"learning": [learned(9), learned(4.4)], "drawing": [{"steps": 50, "seconds_a_picture": 0.6}]},
    }
    goals = (
        Goal("an identity at 320 steps", 10),
        Goal("a picture at 50 steps", 0.18),
        Goal("a picture at 25 steps", 1),
    )
    found = reached(facts, goals)
    assert [row["reached"] for row in found] == [True, False, False]
    assert found[0]["ratio"] == pytest.approx(5.5) and found[1]["ratio"] == pytest.approx(3)
    assert found[2]["found"] is None
