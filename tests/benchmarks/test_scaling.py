"""Growth with identities, prompts and pictures: what runs count, and what is fitted to their seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest


def test_loads_encodes_and_forwards_grow_in_whole_numbers(
    benchmark: Callable[..., dict[str, Any]], pipeline_folder: Path
) -> None:
    tiny = ("--largest", 2, "--steps", 2, "--batch", 3, "--denoise-steps", 1)
    facts = benchmark("scaling", "--counters", "--model", pipeline_folder, *tiny)
    counters = facts["counters"]
    assert counters["model_loads"] == [1, 0, 0, 0]
    assert counters["vae_encodes"] == [0, 2, 0, 0]
    assert counters["vae_decodes"] == [0, 0, 0, 1]
    assert counters["unet_forwards"] == [0, 2 * 3, 0, 2]
    assert counters["text_encodes"] == [1, 2 * 3 + 2, 1, 0]  # and a look at E(v) before each of the two steps
    assert counters["padding"] == [0, 0, 0, 0]


def test_a_count_that_grows_unevenly_is_refused(benchmarks: Path) -> None:
    from scaling import check_counters, check_shared, grid

    from crossinit_batch.model.counters import Counters

    points = grid(4)
    even = [(point, Counters(model_loads=1, unet_forwards=20 * point.pictures)) for point in points]
    assert check_counters(even)["unet_forwards"] == [0, 0, 0, 20]
    uneven = [*even[:-1], (points[-1], replace(even[-1][1], unet_forwards=20 * points[-1].pictures + 1))]
    with pytest.raises(SystemExit, match="unet_forwards does not grow evenly"):
        check_counters(uneven)
    alone = Counters(model_loads=1, text_encodes=9)
    two = replace(points[1], workers=2)
    check_shared([(alone, Counters(model_loads=2, text_encodes=10), two), (alone, alone, two)])
    with pytest.raises(SystemExit, match="3 model loads with 2 workers"):
        check_shared([(alone, Counters(model_loads=3, text_encodes=11), two)])
    with pytest.raises(SystemExit, match="text_encodes: 11 instead of 10"):
        check_shared([(alone, Counters(model_loads=2, text_encodes=11), two)])


def test_the_fit_finds_what_seconds_were_made_of(benchmarks: Path) -> None:
    from scaling import Fit, grid

    points = [replace(point, workers=2) for point in grid(16)]
    seconds = [6 + 1.5 * -(-point.identities // 2) + 0.25 * point.share.pictures for point in points]
    fit = Fit.of(points, seconds)
    assert (fit.fixed, fit.identity, fit.picture) == pytest.approx((6, 1.5, 0.25))
    assert fit.worst == pytest.approx(0, abs=1e-9)


def test_counters_are_read_from_the_report(benchmarks: Path, tmp_path: Path) -> None:
    from crossinit_run import counters_of

    from crossinit_batch.model.counters import Counters

    line = "- Last run: 12 s on 2 x cpu: 2 model loads, 8 vae encodes, 186 text encodes, 200 unet forwards, 3 padding"
    (tmp_path / "report.md").write_text(f"# small\n\n{line}\n")
    assert counters_of(tmp_path) == Counters(
        model_loads=2, vae_encodes=8, text_encodes=186, unet_forwards=200, padding=3
    )
