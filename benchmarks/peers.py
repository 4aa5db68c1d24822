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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossinit_run import Request, crossinit, environment
from machine import cores, machine
from results_file import RESULTS, print_table, write_results
from timed_process import Cost, timed
from turns import Comparison, in_turns

HERE = Path(__file__).parent
SCRIPT = "examples/textual_inversion/textual_inversion.py"
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


@dataclass(frozen=True)
class Faces:
    """Drawn strangers: the files, and a folder for each of them alone, as the script wants it."""

    files: list[Path]
    folders: list[Path]


class Bench:
    """The cases, in a folder of their own."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        self.faces = _draw_faces(options.identities, scratch / "faces")
        self.prompts = PROMPTS[: options.prompts]
        self.our_precision = "float32" if options.device == "cpu" else "bfloat16"
        self.number = 0

    def whole(self) -> dict[str, Any]:
        """From the first command to the last file."""
        options = self.options
        request = Request(
            model=options.model,
            pictures=self.faces.files,
            prompts=self.prompts,
            images=options.images,
            steps=options.steps,
            batch=options.batch,
            denoise_steps=options.denoise_steps,
        )
        found = self._in_turns("whole", lambda: self._peers(request), lambda: self._ours(request))
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

    def _peers(self, request: Request) -> Cost:
        """Every identity in a process of its own, one after the other."""
        return sum((self._peer(request, folder) for folder in self.faces.folders), Cost())

    def _peer(self, request: Request, faces: Path) -> Cost:
        options, output = self.options, self._fresh("peer")
        model = self._model_folder()
        environ = environment()
        words = [f"--model={model}", f"--pictures={faces}", f"--output={output}", f"--device={options.device}"]
        words += [f"--images={request.images}", f"--denoise-steps={request.denoise_steps}"]
        words += [f"--guidance={request.guidance}", *(f"--prompt={prompt}" for prompt in request.prompts)]
        words += [f"--steps={request.steps}", f"--batch={request.batch}", f"--precision={options.precision}"]
        learned = Cost()
        if options.diffusers:
            learned, _ = timed(_script(options.diffusers, model, faces, output, request), environ)
            words.append(f"--embedding={output / 'learned_embeds.safetensors'}")
        drawn, _ = timed([sys.executable, str(HERE / "peer_textual_inversion.py"), *words], environ)
        made = len(list(output.glob("*/*.png")))
        _expect(made, len(request.prompts) * request.images, "the peer's pictures")
        return learned + drawn

    def _ours(self, request: Request) -> Cost:
        """One run with a worker a core, from an empty cache."""
        options, output = self.options, self._fresh("ours")
        manifest = request.write(output.with_suffix(".yaml"), output)
        where = ["--workers", str(options.workers)] if options.workers > 1 else ["--device", options.device]
        environ = environment(self._fresh("cache"))
        cost, _ = crossinit("run", str(manifest), "--quiet", *where, environ=environ)
        made = len(list(output.glob("learned/*/images/*/*.png")))
        _expect(made, len(request.pictures) * len(request.prompts) * request.images, "our pictures")
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

        faces = self.faces
        found = self._in_turns(
            case, lambda: loop("peer", faces.folders[0]), lambda: loop("crossinit", faces.files[0].parent)
        )
        return _case(case, found, {"identities": identities, "batch": batch, "steps": steps, "last_pair": last})

    def _in_turns(self, case: str, peer: Callable[[], Cost], ours: Callable[[], Cost]) -> Comparison:
        return in_turns(peer, ours, self.options.pairs, lambda line: print(f"{case}: {line}", flush=True))

    def _model_folder(self) -> Path:
        """The model for the peer; in float32 for its own script, which takes weights as they lie on the disk."""
        from crossinit_batch.model_source import fetched_model
        from crossinit_batch.settings import ModelSettings

        folder = fetched_model(ModelSettings(id=self.options.model)).folder
        if not self.options.diffusers:
            return folder
        copy = self.scratch / "float32"
        if not copy.is_dir():
            import torch
            from diffusers import StableDiffusionPipeline

            from crossinit_batch.libraries import quiet_libraries

            with quiet_libraries():
                StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32).save_pretrained(copy)
        return copy

    def _fresh(self, name: str) -> Path:
        """A folder that was not there before; what the turn before has left of that name is removed."""
        shutil.rmtree(self.scratch / f"{name}-{self.number}", ignore_errors=True)
        self.number += 1
        return self.scratch / f"{name}-{self.number}"


def _draw_faces(count: int, folder: Path) -> Faces:
    from crossinit_batch.demo.faces import write_faces

    files = write_faces(count, folder / "all")
    folders = []
    for file in files:
        folders.append(folder / file.stem)
        folders[-1].mkdir()
        shutil.copy(file, folders[-1])
    return Faces(files, folders)


def _script(checkout: Path, model: Path, faces: Path, output: Path, request: Request) -> list[str]:
    """The command line of diffusers' own script."""
    resolution = json.loads((model / "vae/config.json").read_text())["sample_size"]
    return [
        *(sys.executable, str(checkout / SCRIPT)),
        *("--pretrained_model_name_or_path", str(model), "--train_data_dir", str(faces), "--output_dir", str(output)),
        *("--placeholder_token", "<person>", "--initializer_token", "person", "--num_vectors", "2"),
        *("--learnable_property", "object", "--resolution", str(resolution), "--learning_rate", "5e-3"),
        *("--train_batch_size", str(request.batch), "--max_train_steps", str(request.steps)),
    ]


def _expect(made: int, wanted: int, what: str) -> None:
    if made != wanted:
        raise SystemExit(f"{made} instead of {wanted} of {what} were made: this is no comparison")


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
