"""How the cost of a run grows with identities, prompts, pictures and workers, beside what the cost model says.

    python benchmarks/scaling.py [--counters] [--repeats 2] [--model demo]

Runs `crossinit run` in processes of their own for 1 to 16 identities, several prompts and pictures, with one worker and
with two, and fits wall and processor seconds by least squares:

    seconds = fixed + a x identities + b x pictures          (of the busiest worker)

The same three numbers are the cost model's, from `crossinit plan`: once as counted, on a device that it knows nothing
of, once after these runs. What a run has counted (loads, encodes, forwards) must be exactly

    count = c0 + c1 x identities + c2 x identities x prompts + c3 x pictures

in whole numbers, or the benchmark fails. `--counters` checks that alone, in this process and in seconds.
One identity is learned at a time, so that the work can be shared out evenly.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from crossinit_run import Request, counters_of, crossinit, environment
from machine import machine
from results_file import RESULTS, print_table, write_results
from timed_process import Cost

from crossinit_batch.demo.faces import write_faces
from crossinit_batch.model.counters import Counters

PROMPTS = tuple(f"a photo of a {{}} person {where}" for where in (
    "", "on the beach", "in the snow", "in the forest", "wearing a crown", "wearing a hat", "smiling", "at night"
))  # fmt: skip
IDENTITIES = (1, 2, 4, 8, 16)
MIDDLE = 4, 4, 2
"""Identities, prompts and pictures a prompt where the others are varied."""
_PICTURES_TOGETHER = 8
_FOR_SHARED = ("model_loads", "text_encodes")
"""Counters that every worker which works adds to once: it loads the model, and encodes the empty prompt."""


@dataclass(frozen=True)
class Point:
    """A run: identities, prompts, pictures a prompt, workers."""

    identities: int
    prompts: int
    images: int
    workers: int = 1

    @property
    def pictures(self) -> int:
        return self.identities * self.prompts * self.images

    @property
    def share(self) -> Point:
        """What the busiest of the workers does."""
        return replace(self, identities=-(-self.identities // self.workers), workers=1)

    @property
    def terms(self) -> list[int]:
        """What counts may grow with."""
        return [1, self.identities, self.identities * self.prompts, self.pictures]


@dataclass(frozen=True)
class Fit:
    """Seconds: once, an identity, a picture; `worst` is the largest deviation, as a part of what was measured."""

    fixed: float
    identity: float
    picture: float
    worst: float

    @classmethod
    def of(cls, points: Sequence[Point], seconds: Sequence[float]) -> Fit:
        """By least squares, over what the busiest worker does."""
        shares = [point.share for point in points]
        terms = np.array([[1, share.identities, share.pictures] for share in shares], dtype=float)
        found, *_ = np.linalg.lstsq(terms, np.array(seconds), rcond=None)
        off = np.abs(terms @ found - seconds) / np.array(seconds)
        return cls(*(float(number) for number in found), worst=float(off.max()))


def grid(largest: int) -> list[Point]:
    """The runs with one worker."""
    identities, prompts, images = min(MIDDLE[0], largest), *MIDDLE[1:]
    points = [Point(count, prompts, images) for count in IDENTITIES if count <= largest]
    points += [Point(identities, count, images) for count in (1, 2, 8)]
    return points + [Point(identities, prompts, count) for count in (1, 4)]


class Runs:
    """Runs at the points of the grid, in a folder of their own, with one cache folder."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        self.faces = write_faces(options.largest, scratch / "faces")
        self.environ = environment(scratch / "cache")
        self.made = 0

    def manifest(self, point: Point) -> tuple[Path, Path]:
        """A manifest for a point, and the output folder that it names, which is new."""
        options = self.options
        self.made += 1
        output = self.scratch / f"run-{self.made}"
        request = Request(
            model=options.model,
            pictures=self.faces[: point.identities],
            prompts=PROMPTS[: point.prompts],
            images=point.images,
            steps=options.steps,
            batch=options.batch,
            denoise_steps=options.denoise_steps,
        )
        compute = {"identities_per_batch": 1, "images_per_batch": _PICTURES_TOGETHER, "compile": False}
        return request.write(output.with_suffix(".yaml"), output, **compute), output

    def timed(self, point: Point) -> tuple[Cost, Counters]:
        """A run in processes of its own."""
        manifest, output = self.manifest(point)
        workers = ["--workers", str(point.workers)] if point.workers > 1 else ["--device", "cpu"]
        cost, _ = crossinit("run", str(manifest), "--quiet", *workers, environ=self.environ)
        return cost, counters_of(output)

    def counted(self, point: Point) -> Counters:
        """A run in this process, for its counters."""
        from crossinit_batch.engines.placement import RunOptions
        from crossinit_batch.manifest.load import load_manifest
        from crossinit_batch.runner.run import run_manifest
        from crossinit_batch.worker.stopping import StopRequest

        os.environ.update(self.environ)
        manifest, output = self.manifest(point)
        result = run_manifest(load_manifest(manifest), lambda _event: None, StopRequest(), RunOptions("cpu"))
        if result.exit_code:
            raise SystemExit(f"{manifest}: the run failed: {result.failures}")
        return counters_of(output)

    def estimated(self, point: Point, cache: Path) -> Fit:
        """The cost model's three numbers, as `crossinit plan` gives them with what a cache folder knows."""
        manifest, _ = self.manifest(point)
        _, printed = crossinit("plan", str(manifest), "--json", environ=environment(cache))
        seconds = json.loads(printed)["estimate"]["seconds"]
        return Fit(seconds["start"], seconds["learning"] / point.identities, seconds["drawing"] / point.pictures, 0.0)


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        runs = Runs(options, Path(scratch))
        points = grid(options.largest)
        if options.counters:
            found = [(point, runs.counted(point)) for point in [MINIMAL, *points]][1:]
            facts: dict[str, Any] = {"counters": check_counters(found)}
        else:
            facts = measure(runs, points)
    settings = {name: value for name, value in sorted(vars(options).items()) if isinstance(value, int | float)}
    write_results(options.output or RESULTS / "scaling.json", {**machine(), "settings": settings, **facts})


MINIMAL = Point(1, 1, 1)
"""A run that is not counted: it leaves the initial vector, and the files in memory."""


def measure(runs: Runs, points: Sequence[Point]) -> dict[str, Any]:
    """Time all points, one worker and two, check what they counted, and print the fits."""
    counted = runs.estimated(points[0], runs.scratch / "empty")
    runs.timed(MINIMAL)
    shared = [replace(point, workers=2) for point in points if point.identities > 1]
    times: dict[Point, list[Cost]] = {}
    counts: dict[Point, Counters] = {}
    for number in range(runs.options.repeats):
        for point in [*points, *shared]:
            cost, counts[point] = runs.timed(point)
            times.setdefault(point, []).append(cost)
            print(f"{number + 1}: {point}: {cost.wall:.1f} s, {cost.cpu:.1f} s of processors", flush=True)
    coefficients = check_counters([(point, counts[point]) for point in points])
    check_shared((counts[replace(point, workers=1)], counts[point], point) for point in shared)
    median = {point: _median(costs) for point, costs in times.items()}
    fits = {
        "measured, 1 worker": Fit.of(points, [median[point].wall for point in points]),
        "measured, 2 workers": Fit.of(shared, [median[point].wall for point in shared]),
        "processor time, 1 worker": Fit.of(points, [median[point].cpu for point in points]),
        "cost model, counted": counted,
        "cost model, after these runs": runs.estimated(points[0], runs.scratch / "cache"),
    }
    print_table(
        "what a run costs in seconds",
        ["", "once", "an identity", "a picture", "farthest off"],
        [
            [
                name,
                f"{fit.fixed:.2f}",
                f"{fit.identity:.3f}",
                f"{fit.picture:.4f}",
                f"{fit.worst:.0%}" if fit.worst else "",
            ]
            for name, fit in fits.items()
        ],
        "An identity and a picture of the busiest worker; that of the model has one worker.",
    )
    rows = [{**asdict(point), **asdict(median[point]), "counters": asdict(counts[point])} for point in median]
    return {"fits": {name: asdict(fit) for name, fit in fits.items()}, "counters": coefficients, "runs": rows}


def check_counters(found: Sequence[tuple[Point, Counters]]) -> dict[str, list[int]]:
    """The whole numbers c0 to c3 of every counter, printed; SystemExit where a count is not what they say."""
    terms = np.array([point.terms for point, _ in found], dtype=float)
    coefficients: dict[str, list[int]] = {}
    for name in asdict(Counters()):
        counts = [getattr(counters, name) for _, counters in found]
        solved, *_ = np.linalg.lstsq(terms, np.array(counts, dtype=float), rcond=None)
        whole = [round(float(number)) for number in solved]
        for (point, _), count in zip(found, counts, strict=True):
            said = sum(number * term for number, term in zip(whole, point.terms, strict=True))
            if said != count:
                raise SystemExit(f"{name} does not grow evenly: {count} at {point}, where {whole} say {said}")
        coefficients[name] = whole
    print_table(
        "what a run counts, exactly",
        ["", "once", "an identity", "an identity and prompt", "a picture"],
        [[name.replace("_", " "), *map(str, row)] for name, row in coefficients.items() if any(row)],
    )
    return coefficients


def check_shared(found: Iterable[tuple[Counters, Counters, Point]]) -> None:
    """Workers must count what one does, and what each that got something to do needs to begin; SystemExit if not.

    Who starts late finds nothing left of a short run, and does not even load the model.
    """
    for alone, shared, point in found:
        beginners = shared.model_loads - alone.model_loads
        if not 0 <= beginners < point.workers:
            raise SystemExit(f"{shared.model_loads} model loads with {point.workers} workers at {point}")
        for name, count in asdict(alone).items():
            wanted, got = count + (beginners if name in _FOR_SHARED else 0), getattr(shared, name)
            if got != wanted:
                raise SystemExit(f"{name}: {got} instead of {wanted} at {point}, where {beginners} more workers began")


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counters", action="store_true", help="check the counters alone")
    parser.add_argument("--repeats", type=int, default=2, help="runs at each point, of which the median counts")
    parser.add_argument("--largest", type=int, default=max(IDENTITIES), help="identities at the most, 2 or more")
    parser.add_argument("--model", default="demo", help="a folder in diffusers' layout, or demo")
    parser.add_argument("--steps", type=int, default=10, help="optimisation steps")
    parser.add_argument("--batch", type=int, default=8, help="samples a step")
    parser.add_argument("--denoise-steps", type=int, default=10)
    parser.add_argument("--output", type=Path, help="the JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
