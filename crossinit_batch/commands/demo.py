"""Commands of the small world of drawn faces: draw them, train a model on them, examine it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crossinit_batch.console.terminal import tell
from crossinit_batch.errors import RequestError


def faces(
    count: Annotated[int, typer.Argument(min=1, max=100_000, help="How many persons.")],
    folder: Annotated[Path, typer.Argument(help="Where the pictures go.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other persons.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Side in pixels.")] = 512,
    jpeg: Annotated[bool, typer.Option("--jpeg", help="Write JPEG files, as cameras do, instead of PNG.")] = False,
) -> None:
    """Draw persons that nobody has seen.

    Their true parameters are written to persons.json.
    """
    from crossinit_batch.demo.faces import write_faces

    paths = write_faces(count, folder, seed=seed, size=size, jpeg=jpeg)
    tell(f"Drew {len(paths)} faces in {folder}")


def train(
    folder: Annotated[Path, typer.Argument(help="Where data, checkpoints and the finished pipeline go.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another world.")] = 0,
    only: Annotated[
        str | None,
        typer.Option(
            help="One stage: data, text-encoder, autoencoder, decoder, unet, pipeline, or a judge: "
            "detector, recogniser, attributes, clip."
        ),
    ] = None,
    shard: Annotated[float, typer.Option(min=0.001, max=10, help="This share of the pictures and steps.")] = 1.0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads of a process.")] = 1,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that share the U-Net's batches, on a CPU.")
    ] = 1,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the U-Net first; needs a C++ compiler, and minutes once.")
    ] = False,
    device: Annotated[str, typer.Option(help="Device to train on, such as cpu or cuda.")] = "cpu",
) -> None:
    """Train a small world of drawn persons.

    From nothing, in stages; the same command goes on where it was cut.
    """
    import torch

    from crossinit_batch.demo.training.recipe import Recipe
    from crossinit_batch.demo.training.train import STAGES, Training
    from crossinit_batch.model.device import choose_device

    torch.set_num_threads(threads)
    recipe = Recipe() if shard == 1.0 else Recipe().scaled(shard)
    training = Training(
        folder,
        seed=seed,
        report=_report,
        recipe=recipe,
        device=choose_device(device),
        processes=processes,
        compiled=compiled,
    )
    for stage in (only,) if only else STAGES:
        training.do(stage)


def exam(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A folder that `crossinit demo train` has finished; left out, the bundled world."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the figures and contact sheets go.")] = Path("out/demo-exam"),
    famous: Annotated[int, typer.Option(min=0, max=640, help="Famous persons for the base model to draw.")] = 100,
    run: Annotated[str | None, typer.Option(help="A finished run on drawn faces, to be judged as well.")] = None,
    faces: Annotated[Path | None, typer.Option(help="The drawn faces of that run, with their persons.json.")] = None,
    among: Annotated[int, typer.Option(min=2, max=5000, help="Persons that the judges choose from in a run.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Other names, other persons to choose from, other noise.")] = 0,
) -> None:
    """Examine a small world.

    Its judges say whether it draws whom and what it is asked for, and so does every method of a run on drawn faces.
    """
    import json

    import torch

    from crossinit_batch.demo.exam_names import examine_names
    from crossinit_batch.demo.exam_run import examine_run
    from crossinit_batch.demo.judges.demo_judges import DemoJudges
    from crossinit_batch.model.base_model import BaseModel
    from crossinit_batch.model.source import fetched_model
    from crossinit_batch.settings import ModelSettings
    from crossinit_batch.storage.store import Store
    from crossinit_batch.world import JUDGES, PIPELINE

    if (run is None) != (faces is None):
        raise RequestError("--run and --faces belong together", "Give both, or neither.")
    pipeline, judges = (folder / "pipeline", folder / "judges") if folder else (PIPELINE, JUDGES)
    panel = DemoJudges.open(judges)
    found, sheets = {}, {}
    if famous:
        model = BaseModel.load(fetched_model(ModelSettings(id=str(pipeline))), torch.device("cpu"), "float32")
        found["famous"], sheets["famous"] = examine_names(model, panel, famous, seed)
    if run is not None and faces is not None:
        methods, drawn = examine_run(Store(run), faces, panel, among=among, seed=seed + 1)
        found, sheets = found | methods, sheets | drawn
    output.mkdir(parents=True, exist_ok=True)
    (output / "exam.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, picture in sheets.items():
        picture.save(output / f"{name}.png")
    for name, figures in found.items():
        who, what = figures["identity_photo"]["mean"], figures["attributes_each"]["mean"]
        tell(f"{name}: the right person in {who:.1%} of photographs, each attribute right in {what:.1%}")
    tell(f"Figures and contact sheets: {output}")


def _report(line: str) -> None:
    """Print a line at once, since the next may be minutes away."""
    tell(line)
    sys.stdout.flush()
