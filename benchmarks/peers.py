"""The same faces, steps, batches and pictures, as diffusers' example does them and as crossinit does, side by side.

    python benchmarks/peers.py [--case whole|learning|wide …] [--pairs 5] [--diffusers CHECKOUT] [--device cpu]

whole     8 identities x 8 prompts x 2 pictures, from the first command to the last file. The peer: one process an
          identity, which learns, loads the pipeline and calls it once a prompt. Ours: one `crossinit run`, a worker a
          core. Both may use every core; ours starts with an empty cache.
learning  the optimisation loop alone, batch 8: one identity the peer's way, 8 identities at once ours. One thread each.
wide      the same at batch 1 for one identity, with a text encoder 1024 wide, a table of 49,408 tokens and random
          weights: what AdamW on the whole table costs.

Each is measured in turns (peer, ours, ours, peer, …) in processes of their own. The peer is peer_textual_inversion.py;
with a checkout of diffusers its own script learns instead, which needs torchvision (and then only `whole` is done).
Prints a table; `results/peers-<device>.json` keeps every pair.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crossinit_run import Request, crossinit, environment
from machine import machine
from peer_run import SCRIPT, Peer, alone, expect
from results_file import RESULTS, print_table, write_results
from timed_process import Cost, timed
from turns import Comparison, in_turns

from crossinit_batch.model.device_speed import cores

HERE = Path(__file__).parent
PROMPTS = (
    "a photo of a {} person",
    "a photo of a {} person with a happy expression",
    "a photo of a {} person with a surprised expression",
    "a photo of a {} person on the beach",
    "a photo of a {} person wearing a crown",
    "a photo of a {} person wearing a red hat in the snow",
    "a pencil sketch of a {} person",
    "pop art of a {} person",
)
GOALS = {"whole": 5.0, "learning": 2.0, "wide": 5.0}
"""The ratio of wall time that each case is meant to reach, on two cores."""


def main() -> None:
    options = _options()
    names = ["whole"] if options.diffusers else options.case or list(GOALS)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options, Path(scratch))
        cases = {name: getattr(bench, name)() for name in names}
    facts = {
        **machine(),
        "device": options.device,
        "settings": {name: value for name, value in sorted(vars(options).items()) if isinstance(value, int | float)},
        "threads_asked_for": os.environ.get("OMP_NUM_THREADS"),
        "peer": f"{options.diffusers or 'stand-in'}, {options.precision}",
        "cases": cases,
    }
    print_table(
        f"peer / crossinit, {facts['gpu'] or facts['processor']}, {facts['cores']} cores",
        ["case", "peer s", "crossinit s", "wall ratio", "CPU ratio", "goal", ""],
        [_row(name, case) for name, case in cases.items()],
        "Seconds and ratios are medians of pairs; in brackets the range.",
    )
    write_results(options.output or RESULTS / f"peers-{options.device}.json", facts)


class Bench:
    """The cases, in a folder of their own."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        from crossinit_batch.demo.faces import write_faces

        self.options, self.scratch = options, scratch
        self.faces = write_faces(options.identities, scratch / "faces")
        self.peer = Peer(options.device, options.precision, options.diffusers, scratch)
        self.our_precision = "float32" if options.device == "cpu" else "bfloat16"

    def whole(self) -> dict[str, Any]:
        """From the first command to the last file."""
        options = self.options
        request = Request(
            model=options.model,
            pictures=self.faces,
            prompts=PROMPTS[: options.prompts],
            images=options.images,
            steps=options.steps,
            batch=options.batch,
            denoise_steps=options.denoise_steps,
        )
        found = self._in_turns("whole", lambda: self.peer.run(request), lambda: self._ours(request))
        pictures = len(request.pictures) * len(request.prompts) * request.images
        return _case("whole", found, {"identities": len(request.pictures), "pictures": pictures})

    def learning(self) -> dict[str, Any]:
        """The loop alone: of one identity, and of all of them together."""
        options = self.options
        return self._loops("learning", options.model, options.identities, options.batch, options.loop_steps)

    def wide(self) -> dict[str, Any]:
        """The loop alone at batch 1, with the table of a real model."""
        from architectures import WIDE, make_architecture

        folder = self.scratch / "wide"
        make_architecture(folder, WIDE)
        return self._loops("wide", str(folder), 1, 1, 2 * self.options.loop_steps)

    def _ours(self, request: Request) -> Cost:
        """One run with a worker a core, from an empty cache; SystemExit where a picture is missing."""
        options, output, cache = self.options, self.scratch / "ours", self.scratch / "empty"
        for folder in (output, cache):
            shutil.rmtree(folder, ignore_errors=True)
        manifest = request.write(self.scratch / "ours.yaml", output)
        where = ["--workers", str(options.workers)] if options.workers > 1 else ["--device", options.device]
        cost, _ = crossinit("run", str(manifest), "--quiet", *where, environ=environment(cache))
        wanted = len(request.pictures) * len(request.prompts) * request.images
        expect(output, "learned/*/images/*/*.png", wanted)
        return cost

    def _loops(self, case: str, model: str, identities: int, batch: int, steps: int) -> dict[str, Any]:
        """Costs of a step of one identity, both ways."""
        last: dict[str, Any] = {}

        def loop(way: str, pictures: Path) -> Cost:
            environ = environment(self.scratch / "cache", OMP_NUM_THREADS="1")
            command = [sys.executable, str(HERE / "learning_loop.py"), way, "--model", model]
            command += ["--pictures", str(pictures), "--identities", str(identities), "--batch", str(batch)]
            command += ["--steps", str(steps), "--device", self.options.device]
            command += ["--precision", self.options.precision if way == "peer" else self.our_precision]
            _, printed = timed(command, environ)
            last[way] = json.loads(printed.splitlines()[-1])
            return Cost(**last[way]["step_of_one"])

        found = self._in_turns(
            case, lambda: loop("peer", alone(self.faces[0])), lambda: loop("crossinit", self.faces[0].parent)
        )
        return _case(case, found, {"identities": identities, "batch": batch, "steps": steps, "last_pair": last})

    def _in_turns(self, case: str, peer: Callable[[], Cost], ours: Callable[[], Cost]) -> Comparison:
        return in_turns(peer, ours, self.options.pairs, lambda line: print(f"{case}: {line}", flush=True))


def _case(name: str, found: Comparison, settings: dict[str, Any]) -> dict[str, Any]:
    peer, ours = found.medians()
    return {
        **settings,
        "goal": GOALS[name],
        "reached": found.wall.median >= GOALS[name],
        "median": {"peer": asdict(peer), "crossinit": asdict(ours)},
        **found.as_dict(),
    }


def _row(name: str, case: dict[str, Any]) -> list[str]:
    def ratio(of: str) -> str:
        numbers = case["ratio"][of]
        return f"{numbers['median']:.2f} ({numbers['least']:.2f} to {numbers['most']:.2f})"

    seconds = [f"{case['median'][way]['wall']:.3g}" for way in ("peer", "crossinit")]
    goal = "reached" if case["reached"] else "missed"
    return [name, *seconds, ratio("wall"), ratio("cpu"), f"{case['goal']:g}", goal]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=list(GOALS), help="may be repeated; all if left out")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--diffusers", type=Path, metavar="PATH", help="a checkout, whose own script is to learn")
    parser.add_argument("--model", default="demo", help="a folder in diffusers' layout, or demo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="float32", help="the peer's; the script's"
    )
    parser.add_argument("--workers", type=int, help="of ours; left out, one a core on the CPU, one on a GPU")
    parser.add_argument("--identities", type=int, default=8)
    parser.add_argument("--prompts", type=int, default=8, help=f"of the {len(PROMPTS)} there are")
    parser.add_argument("--images", type=int, default=2, help="pictures a prompt")
    parser.add_argument("--steps", type=int, default=25, help="optimisation steps of `whole`, as the fast method has")
    parser.add_argument("--batch", type=int, default=8, help="samples a step")
    parser.add_argument("--denoise-steps", type=int, default=25, help="of `whole`")
    parser.add_argument(
        "--loop-steps", type=int, default=10, help="that are timed of `learning`; twice as many of `wide`"
    )
    parser.add_argument("--output", type=Path, help="the JSON file")
    options = parser.parse_args()
    if options.diffusers and not (options.diffusers / SCRIPT).is_file():
        parser.error(f"--diffusers {options.diffusers}: there is no {SCRIPT} in it; name a checkout of diffusers")
    options.workers = options.workers or (cores() if options.device == "cpu" else 1)
    return options


if __name__ == "__main__":
    main()
