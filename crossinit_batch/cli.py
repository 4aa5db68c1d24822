"""The commands: parse, call, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer

from crossinit_batch import __version__
from crossinit_batch.errors import CrossinitError, Interrupted, OutputError, RequestError

if TYPE_CHECKING:
    from crossinit_batch.run import RunResult
    from crossinit_batch.store import Store

app = typer.Typer(
    name="crossinit",
    help="Cross Initialization for many faces: one photograph of a person in, one Stable Diffusion embedding out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
demo_app = typer.Typer(help="Make drawn faces to try things on.", no_args_is_help=True)
app.add_typer(demo_app, name="demo")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings, failures and the end.")]
Device = Annotated[str | None, typer.Option(help="Device to use, such as cpu or cuda:1; the best one if left out.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network: models come from the local cache only.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read pickled .bin and .pt files too; only if you trust them.")
]
OutputArgument = Annotated[str, typer.Argument(help="An output folder, local or a URL.")]


def _print_version(asked: bool) -> None:
    if asked:
        _tell(f"crossinit {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    pass


@app.command()
def run(
    manifest: Annotated[Path, typer.Argument(help="A manifest; `crossinit init` writes one to start from.")],
    device: Device = None,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Do what a manifest asks: learn, draw, report.

    What is done already is kept. Stopped by Ctrl-C or SIGTERM, it saves everything and exits with 75; `resume` goes on.
    """
    _go_offline(offline)
    from crossinit_batch.manifest import load_manifest

    loaded = load_manifest(manifest)
    from crossinit_batch.progress import reporter_for
    from crossinit_batch.run import RunOptions, run_manifest
    from crossinit_batch.stopping import StopRequest

    with reporter_for(sys.stdout if json else sys.stderr, json=json, quiet=quiet) as report:
        result = run_manifest(loaded, report, StopRequest(), RunOptions(device))
    _print_result(result, json)


@app.command()
def resume(
    output: Annotated[
        str | None, typer.Argument(help="An output folder; left out, the latest unfinished one under ./out.")
    ] = None,
    allow_pickle: AllowPickle = False,
    device: Device = None,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on where a run was cut.

    Jobs that failed are tried again.
    """
    _go_offline(offline)
    from crossinit_batch.progress import reporter_for
    from crossinit_batch.run import RunOptions
    from crossinit_batch.run import resume as resume_run
    from crossinit_batch.stopping import StopRequest
    from crossinit_batch.store import Store

    store = Store(output or _latest_unfinished(Path("out")))
    with reporter_for(sys.stdout if json else sys.stderr, json=json, quiet=quiet) as report:
        result = resume_run(store, report, StopRequest(), RunOptions(device, allow_pickle))
    _print_result(result, json)


@app.command()
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
    scheduler: Annotated[str, typer.Option(help="dpmsolver++, ddim or euler.")] = "dpmsolver++",
    size: Annotated[int | None, typer.Option(help="Side in pixels; left out, the model's own.")] = None,
    negative_prompt: Annotated[str, typer.Option(help="What pictures should not show.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives every identity the same noise.")] = 0,
    images_per_batch: Annotated[int, typer.Option(min=1, max=256)] = 8,
    allow_pickle: AllowPickle = False,
    device: Device = None,
    offline: Offline = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw pictures from given embeddings.

    They may be ours or other tools': a folder of .safetensors files, one embedding each.
    """
    _go_offline(offline)
    from crossinit_batch.given import find_embeddings, plan_given
    from crossinit_batch.prompt_file import load_prompts
    from crossinit_batch.settings import ComputeSettings, ModelSettings, RenderSettings

    drawn = RenderSettings.from_options(
        images_per_prompt=images_per_prompt,
        steps=steps,
        guidance=guidance,
        scheduler=scheduler,
        size=size,
        negative_prompt=negative_prompt,
    )
    texts = load_prompts(prompts, Path.cwd())
    folder = find_embeddings(embeddings, allow_pickle=allow_pickle)
    if model is not None:
        settings = ModelSettings(id=model, revision=revision)
    else:
        settings = folder.plan.model.settings if folder.plan else ModelSettings(revision=revision)
    name = f"render-{Path(prompts).stem}"
    from crossinit_batch.progress import reporter_for
    from crossinit_batch.run import RunOptions, run_plan
    from crossinit_batch.stopping import StopRequest
    from crossinit_batch.store import Store

    def plan_it(source: Any, dtype: str) -> Any:
        return plan_given(
            folder,
            name=name,
            model=settings,
            source=source,
            dtype=dtype,
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
    with reporter_for(sys.stdout if json else sys.stderr, json=json, quiet=quiet) as report:
        result = run_plan(store, settings, plan_it, report, StopRequest(), RunOptions(device, allow_pickle))
    _print_result(result, json)


@app.command()
def plan(
    manifest: Annotated[Path, typer.Argument(help="A manifest.")],
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Show what `run` would do; write nothing.

    Jobs, counts, the work, and what is done, new or stale and why.
    """
    _go_offline(offline)
    from crossinit_batch.manifest import load_manifest
    from crossinit_batch.overview import overview_of, print_overview

    overview = overview_of(load_manifest(manifest))
    print_overview(overview, _out(), as_json=json)


@app.command()
def status(output: OutputArgument, json: Json = False) -> None:
    """Show how far a run is.

    Reads its receipts alone, so it works while the run goes on, and from another machine.
    """
    from crossinit_batch.overview import print_status, status_of
    from crossinit_batch.store import Store

    print_status(status_of(Store(output)), _out(), as_json=json)


@app.command()
def verify(
    output: OutputArgument,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set aside what is damaged, so that `resume` makes it again.")
    ] = False,
    json: Json = False,
) -> None:
    """Re-hash every file against its receipt.

    Exits with 1 where one does not match.
    """
    from crossinit_batch.overview import print_verification
    from crossinit_batch.plan import read_plan
    from crossinit_batch.store import Store
    from crossinit_batch.verify import repair as set_aside
    from crossinit_batch.verify import verify as verify_store

    store = Store(output)
    found = verify_store(store)
    if not found.files and not found.findings and read_plan(store) is None:
        raise OutputError(
            f"{store} has no receipt, so it is not an output folder of crossinit",
            "Name the folder that a manifest's `output:` names.",
        )
    if repair:
        set_aside(store, found.findings)
    print_verification(store, found, _out(), repaired=repair, as_json=json)
    if found.findings or not found.files:
        raise typer.Exit(1)


@app.command()
def export(
    output: OutputArgument,
    format: Annotated[
        str, typer.Option("--format", help="webui (A1111, Forge, ComfyUI, InvokeAI, kohya) or diffusers.")
    ] = "webui",
    to: Annotated[str | None, typer.Option(help="Target folder; left out, export-<format> in it.")] = None,
) -> None:
    """Write embeddings for other tools."""
    from crossinit_batch.export import export_embeddings
    from crossinit_batch.store import Store

    for path in export_embeddings(Store(output), format, to):
        _tell(path)


@app.command("init-vector")
def init_vector(
    model: Annotated[str, typer.Argument(help="A base model: hub id, folder or demo.")],
    names: Annotated[Path | None, typer.Option(help="A file of names, one a line.")] = None,
    words: Annotated[list[str] | None, typer.Option("--word", help="Start from this word; may be repeated.")] = None,
    columns: Annotated[str, typer.Option(help="tokens or words: what of a name makes a column.")] = "tokens",
    vectors: Annotated[int, typer.Option(min=1, max=8, help="How many columns of the names.")] = 2,
    encoder: Annotated[bool, typer.Option(help="Pass the mean through the text encoder.")] = True,
    save: Annotated[Path | None, typer.Option(help="Write it here as safetensors.")] = None,
    revision: Annotated[str | None, typer.Option(help="The model's commit, tag or branch on the hub.")] = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Compute and describe an initial vector.

    Norms, and cosines with the raw mean of the names and with the words face and person.
    """
    _go_offline(offline)
    from crossinit_batch.settings import InitSettings, ModelSettings

    init = InitSettings.from_options(
        names=str(names.resolve()) if names else None,
        words=tuple(words) if words else None,
        columns=columns,
        vectors=vectors,
        encoder=encoder,
    )
    from crossinit_batch.describe_init import describe_initial_vector, print_description

    description = describe_initial_vector(ModelSettings(id=model, revision=revision), init, save)
    print_description(description, _out(), as_json=json)


@app.command()
def schema() -> None:
    """Print the manifest's JSON Schema."""
    import json as json_library

    from crossinit_batch.manifest_schema import manifest_schema

    _tell(json_library.dumps(manifest_schema(), indent=2))


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("manifest.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a commented starter manifest.

    Its JSON Schema is written beside it, for editors.
    """
    import json as json_library

    from crossinit_batch.manifest_schema import manifest_schema
    from crossinit_batch.starter import starter_manifest

    if path.exists() and not force:
        raise RequestError(f"{path} is there already", "Name another file, or add --force.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(starter_manifest(), encoding="utf-8")
    beside = path.with_name("crossinit.schema.json")
    beside.write_text(json_library.dumps(manifest_schema(), indent=2) + "\n", encoding="utf-8")
    _tell(f"Wrote {path} and {beside}. Put your pictures under `identities:`, then: crossinit run {path}")


@demo_app.command("faces")
def demo_faces(
    count: Annotated[int, typer.Argument(min=1, max=100_000, help="How many persons.")],
    folder: Annotated[Path, typer.Argument(help="Where the pictures go.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other persons.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Side in pixels.")] = 512,
) -> None:
    """Draw persons that nobody has seen.

    Their true parameters are written to persons.json.
    """
    from crossinit_batch.demo.faces import write_faces

    paths = write_faces(count, folder, seed=seed, size=size)
    _tell(f"Drew {len(paths)} faces in {folder}")


@demo_app.command("train")
def demo_train(
    folder: Annotated[Path, typer.Argument(help="Where data, checkpoints and the finished pipeline go.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another world.")] = 0,
    only: Annotated[
        str | None, typer.Option(help="One stage: data, text-encoder, autoencoder, decoder, unet, pipeline or judges.")
    ] = None,
    share: Annotated[float, typer.Option(min=0.001, max=10, help="This share of the pictures and steps.")] = 1.0,
    threads: Annotated[int, typer.Option(min=1, max=256, help="CPU threads of a process.")] = 1,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that share the U-Net's batches, on a CPU.")
    ] = 1,
    device: Annotated[str, typer.Option(help="Device to train on, such as cpu or cuda.")] = "cpu",
) -> None:
    """Train the demo model from nothing; the same command goes on where it was cut."""
    import torch

    from crossinit_batch.demo.recipe import Recipe
    from crossinit_batch.demo.train import STAGES, Training
    from crossinit_batch.device import choose_device

    torch.set_num_threads(threads)
    recipe = Recipe() if share == 1.0 else Recipe().scaled(share)
    training = Training(
        folder, seed=seed, report=typer.echo, recipe=recipe, device=choose_device(device), processes=processes
    )
    for stage in (only,) if only else STAGES:
        training.do(stage)


@demo_app.command("exam")
def demo_exam(
    folder: Annotated[Path, typer.Argument(help="A folder that `crossinit demo train` has finished.")],
    famous: Annotated[int, typer.Option(min=0, max=691, help="Famous persons to draw.")] = 100,
    strangers: Annotated[int, typer.Option(min=0, max=1000, help="Strangers to learn by each method.")] = 50,
    among: Annotated[int, typer.Option(min=2, max=5000, help="Persons that the judge chooses from.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Other names, strangers and noise.")] = 0,
) -> None:
    """Have the judges say how good a demo model is, and how well each method works on it; writes exam.json."""
    import json as json_library

    from crossinit_batch.demo.exam import examine
    from crossinit_batch.demo.train import Training

    training = Training.open(folder, typer.echo)
    found = examine(
        training.model(),
        training.judge(),
        famous=famous,
        learned=strangers,
        among=among,
        seed=seed,
        report=typer.echo,
    )
    (folder / "exam.json").write_text(json_library.dumps(found, indent=2) + "\n", encoding="utf-8")


def _go_offline(offline: bool) -> None:
    """The hub's library reads this once, when it is imported."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def _latest_unfinished(folder: Path) -> str:
    """The output folder below `folder` whose plan was written last and is not finished."""
    from crossinit_batch import layout
    from crossinit_batch.inventory import take_inventory
    from crossinit_batch.plan import read_plan
    from crossinit_batch.store import Store

    plans = sorted(folder.glob(f"**/{layout.PLAN}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in plans:
        store = Store(str(path.parent.resolve()))
        try:
            found = read_plan(store)
        except OutputError:  # of another version, or damaged: only its name on the command line gets this far
            continue
        if found is not None and not take_inventory(store, found).finished:
            return str(path.parent.resolve())
    raise RequestError(f"no unfinished run under {folder.resolve()}", "Name its output folder: crossinit resume OUTPUT")


def _print_result(result: RunResult, json: bool) -> None:
    """The tables at the end, and the exit code."""
    if not json:
        from crossinit_batch import layout
        from crossinit_batch.showcase import outcomes
        from crossinit_batch.tables import failure_table, outcome_table, print_table

        print_table(outcome_table(outcomes(result.inventory, result.failures)), _out())
        if result.failures:
            print_table(failure_table(result.failures), _out())
        _tell(f"Gallery: {_place(result.store, layout.GALLERY)}")
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _place(store: Store, name: str) -> str:
    return f"{store}/{name}"


def main() -> None:
    """Run a command; every error becomes a sentence and an exit code, never a traceback."""
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # read when they are imported; a user's own choice stands
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    try:
        app(standalone_mode=True)
    except Interrupted as error:  # the reporter has said so
        sys.exit(error.exit_code)
    except CrossinitError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        _say(f"{error.filename or 'reading or writing failed'}: {error.strerror or error}")
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CROSSINIT_DEBUG"):
            raise
        _say(
            f"crossinit met an error of its own: {type(error).__name__}: {error}\n"
            "  Please report it with the output of the same command under CROSSINIT_DEBUG=1."
        )
        sys.exit(1)
    finally:
        _out().flush()


def _out() -> TextIO:
    """Standard output; once nobody listens, what is written is dropped, and the exit code stands."""
    from crossinit_batch.safe_stream import SafeStream

    return cast("TextIO", SafeStream(sys.stdout))


def _tell(line: object) -> None:
    _out().write(f"{line}\n")


def _say(message: str) -> None:
    from crossinit_batch.redact import redact_urls, shown_lines

    for line in shown_lines(redact_urls(message)):
        print(line, file=sys.stderr)
