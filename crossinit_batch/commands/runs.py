"""Commands that do work: run, resume, render, evaluate."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossinit_batch.commands.options import (
    STUCK_AFTER,
    AllowPickle,
    Device,
    Devices,
    Json,
    Offline,
    OutputArgument,
    Quiet,
    RequireLocks,
    Shard,
    StuckAfter,
    Workers,
    go_offline,
)
from crossinit_batch.console.terminal import out, tell
from crossinit_batch.errors import OutputError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crossinit_batch.events import Reporter
    from crossinit_batch.runner.execution import RunResult
    from crossinit_batch.worker.stopping import StopRequest

_FIRST_STEPS = """To try it without photographs or network, with drawn people and the bundled model:
    crossinit demo faces 4 photos --jpeg
    crossinit init faces.yaml
    crossinit run faces.yaml"""


def run(
    manifest: Annotated[
        Path | None, typer.Argument(help="A manifest; `crossinit init` writes one to start from.", show_default=False)
    ] = None,
    device: Device = None,
    devices: Devices = None,
    workers: Workers = None,
    shard: Shard = None,
    stuck_after: StuckAfter = STUCK_AFTER,
    require_locks: RequireLocks = False,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Do what a manifest asks: learn, draw, report.

    What is done already is kept. Stopped by Ctrl-C or SIGTERM, it saves everything and exits with 75; `resume` goes on.
    """
    if manifest is None:
        raise RequestError("crossinit run needs a manifest, a YAML file that says whose faces", _FIRST_STEPS)
    go_offline(offline)
    from crossinit_batch.manifest.load import load_manifest

    loaded = load_manifest(manifest)
    from crossinit_batch.engines.placement import RunOptions
    from crossinit_batch.runner.run import run_manifest

    options = RunOptions(device, False, devices, workers, shard, stuck_after, require_locks)
    _carry_out(lambda report, stop: run_manifest(loaded, report, stop, options), json, quiet)


def resume(
    output: Annotated[
        str | None, typer.Argument(help="An output folder; left out, the latest unfinished one under ./out.")
    ] = None,
    allow_pickle: AllowPickle = False,
    device: Device = None,
    devices: Devices = None,
    workers: Workers = None,
    shard: Shard = None,
    stuck_after: StuckAfter = STUCK_AFTER,
    require_locks: RequireLocks = False,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on where a run was cut.

    Jobs that failed are tried again.
    """
    go_offline(offline)
    from crossinit_batch.storage.store import Store

    store = Store(output or _latest_unfinished(Path("out")))
    from crossinit_batch.engines.placement import RunOptions
    from crossinit_batch.runner.run import resume as resume_run

    options = RunOptions(device, allow_pickle, devices, workers, shard, stuck_after, require_locks)
    _carry_out(lambda report, stop: resume_run(store, report, stop, options), json, quiet)


def render(
    embeddings: Annotated[
        str, typer.Option(help="An output folder of ours, or a folder of embedding files of any tool.")
    ],
    prompts: Annotated[str, typer.Option(help="A file of prompts (.yaml or .txt), or a built-in set: paper.")],
    output: Annotated[str | None, typer.Option(help="Where pictures go; left out, out/render-<prompts>.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model; left out, the one of the embeddings' plan.")] = None,
    revision: Annotated[str | None, typer.Option(help="The model's commit, tag or branch on the hub.")] = None,
    images_per_prompt: Annotated[int, typer.Option(min=1, max=1000)] = 4,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Denoising steps.")] = 50,
    guidance: Annotated[float, typer.Option(min=0, max=100, help="Classifier-free guidance scale.")] = 7.5,
    guidance_until: Annotated[
        float, typer.Option(min=0, max=1, help="Part of the steps that are guided; below 1 faster, approximate.")
    ] = 1.0,
    scheduler: Annotated[str, typer.Option(help="dpmsolver++, ddim or euler.")] = "dpmsolver++",
    size: Annotated[int | None, typer.Option(help="Side in pixels; left out, the model's own.")] = None,
    negative_prompt: Annotated[str, typer.Option(help="What pictures should not show.")] = "",
    format: Annotated[str, typer.Option(help="png, webp or jpeg.")] = "png",
    quality: Annotated[int | None, typer.Option(min=1, max=100, help="Of webp and jpeg; left out, 90.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives every identity the same noise.")] = 0,
    images_per_batch: Annotated[int, typer.Option(min=1, max=256)] = 8,
    allow_pickle: AllowPickle = False,
    device: Device = None,
    devices: Devices = None,
    workers: Workers = None,
    shard: Shard = None,
    stuck_after: StuckAfter = STUCK_AFTER,
    require_locks: RequireLocks = False,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw pictures from existing embeddings.

    They may be ours or other tools': a folder of .safetensors files, one embedding each.
    """
    go_offline(offline)
    from crossinit_batch.manifest.prompts import load_prompts
    from crossinit_batch.plan.imported import find_artifacts, plan_imported
    from crossinit_batch.settings import ComputeSettings, ModelSettings, RenderSettings

    drawn = RenderSettings.from_options(
        images_per_prompt=images_per_prompt,
        steps=steps,
        guidance=guidance,
        guidance_until=guidance_until,
        scheduler=scheduler,
        size=size,
        negative_prompt=negative_prompt,
        format=format,
        quality=quality,
    )
    texts = load_prompts(prompts, Path.cwd())
    folder = find_artifacts(embeddings, allow_pickle=allow_pickle)
    if model is not None:
        settings = ModelSettings(id=model, revision=revision)
    else:
        settings = folder.plan.model.settings if folder.plan else ModelSettings(revision=revision)
    name = f"render-{Path(prompts).stem}"
    from crossinit_batch.engines.placement import RunOptions
    from crossinit_batch.runner.run import run_plan
    from crossinit_batch.storage.store import Store

    plan_it = partial(
        plan_imported,
        folder,
        name=name,
        model=settings,
        seed=seed,
        prompts=texts,
        render=drawn,
        compute=ComputeSettings(images_per_batch=images_per_batch),
    )
    store = Store(output or f"out/{name}")
    if store.url == Store(embeddings).url:
        raise RequestError(
            f"--output {store} is the folder of the embeddings",
            "Name another one, so that neither is overwritten.",
        )
    options = RunOptions(device, allow_pickle, devices, workers, shard, stuck_after, require_locks)
    _carry_out(lambda report, stop: run_plan(store, settings, plan_it, report, stop, options), json, quiet)


def evaluate(
    output: OutputArgument,
    recogniser: Annotated[
        str | None, typer.Option(help="A face recognition network, .onnx; insightface:PACK; demo.")
    ] = None,
    detector: Annotated[str | None, typer.Option(help="A face detector in YuNet's layout, .onnx; or demo.")] = None,
    layout: Annotated[str, typer.Option(help="The recogniser's: arcface, adaface or sface.")] = "arcface",
    clip: Annotated[str | None, typer.Option(help="A CLIP model: a hub id, a local folder, or demo.")] = None,
    device: Device = None,
    require_locks: RequireLocks = False,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score the pictures of an output folder: who is in them, and whether they show the prompt.

    Judges left out are the plan's; where it has none, the demo model's own, else CLIP alone. Face networks are never
    downloaded. What is scored already is kept, unless judges or pictures have changed.
    """
    go_offline(offline)
    from crossinit_batch.manifest.evaluation import evaluation_of_options

    settings = evaluation_of_options(recogniser, detector, clip, layout)
    from crossinit_batch.engines.placement import RunOptions
    from crossinit_batch.runner.run import evaluate as evaluate_run
    from crossinit_batch.storage.store import Store

    options, store = RunOptions(device, require_locks=require_locks), Store(output)
    _carry_out(lambda report, stop: evaluate_run(store, settings, report, stop, options), json, quiet)


def report(output: OutputArgument, json: Json = False) -> None:
    """Write the gallery and the report of an output folder as it is now.

    A run does so at its end, and of several shards the last one; this does it at any time. Exits with 1 where
    something failed or is not done.
    """
    from crossinit_batch.plan.frozen import frozen_plan
    from crossinit_batch.plan.inventory import take_inventory
    from crossinit_batch.report.failures import failure_rows
    from crossinit_batch.runner.close import close_again
    from crossinit_batch.runner.overview import Status, print_status
    from crossinit_batch.storage.store import Store

    store = Store(output)
    done = close_again(store, take_inventory(store, frozen_plan(store)))
    print_status(Status(done.inventory, tuple(failure_rows(done.failures))), out(), as_json=json)
    if done.failures or not done.inventory.finished:
        raise typer.Exit(1)


def _latest_unfinished(folder: Path) -> str:
    """The output folder below `folder` whose plan was written last and is not finished."""
    from crossinit_batch import layout
    from crossinit_batch.plan.frozen import read_plan
    from crossinit_batch.plan.inventory import take_inventory
    from crossinit_batch.storage.store import Store

    plans = sorted(folder.glob(f"**/{layout.PLAN}"), key=lambda path: path.lstat().st_mtime, reverse=True)
    for path in plans:
        store = Store(str(path.parent.resolve()))
        try:
            found = read_plan(store)
        except OutputError:  # of another version, or damaged: only its name on the command line gets this far
            continue
        if found is not None and not take_inventory(store, found).finished:
            return str(path.parent.resolve())
    raise RequestError(f"no unfinished run under {folder.resolve()}", "Name its output folder: crossinit resume OUTPUT")


def _carry_out(work: Callable[[Reporter, StopRequest], RunResult], json: bool, quiet: bool) -> None:
    """Do the work while reporting it, then print the tables at the end and exit as it went."""
    from crossinit_batch.console.reporter import reporter_for
    from crossinit_batch.worker.stopping import StopRequest

    with reporter_for(sys.stdout if json else sys.stderr, json=json, quiet=quiet) as report:
        result = work(report, StopRequest())
    if not json:
        from crossinit_batch import layout
        from crossinit_batch.console.tables import failure_table, print_table
        from crossinit_batch.report.outcomes import outcome_table, outcomes

        print_table(outcome_table(outcomes(result.inventory, result.failures)), out())
        if result.failures:
            print_table(failure_table(result.failures), out())
        if result.closed:
            tell(f"Gallery: {result.store}/{layout.GALLERY}")
            if any(state.scored for state in result.inventory.states.values()):
                tell(f"Scores: {result.store}/{layout.REPORT_PAGE}")
        else:
            tell(f"Other shards are not done yet. The last one writes the gallery, or: crossinit report {result.store}")
    if result.exit_code:
        raise typer.Exit(result.exit_code)
