"""Commands that look and copy, and change no result: plan, status, verify, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossinit_batch.commands.options import Devices, Json, Offline, OutputArgument, Shard, Workers, go_offline
from crossinit_batch.console.terminal import out, say, tell
from crossinit_batch.errors import OutputError


def plan(
    manifest: Annotated[Path, typer.Argument(help="A manifest.")],
    devices: Devices = None,
    workers: Workers = None,
    shard: Shard = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Show what `run` would do; write nothing.

    Jobs, counts, the work, what is done, new or stale and why, and an estimate of the time.
    """
    go_offline(offline)
    from crossinit_batch.manifest.load import load_manifest
    from crossinit_batch.plan.shard import parse_shard
    from crossinit_batch.runner.overview import overview_of, print_overview

    loaded = load_manifest(manifest)
    overview = overview_of(loaded, devices, workers, parse_shard(shard) if shard else None)
    print_overview(overview, out(), as_json=json)


def status(
    output: OutputArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show it again whenever it changes, to the end.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two looks of --follow.")] = 5.0,
    json: Json = False,
) -> None:
    """Show how far a run is.

    Reads its receipts alone, so it works while the run goes on, and from another machine. With --follow it ends when
    all is done, or with Ctrl-C.
    """
    from crossinit_batch.runner.overview import follow_status, print_status, status_of
    from crossinit_batch.storage.store import Store

    store = Store(output)
    if follow:
        follow_status(store, out(), every=every, as_json=json)
    else:
        print_status(status_of(store), out(), as_json=json)


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
    from crossinit_batch.plan.frozen import read_plan
    from crossinit_batch.report.verify import repair as set_aside
    from crossinit_batch.report.verify import verify as verify_store
    from crossinit_batch.runner.overview import print_verification
    from crossinit_batch.storage.store import Store

    store = Store(output)
    found = verify_store(store)
    if not found.files and not found.findings and read_plan(store) is None:
        raise OutputError(
            f"{store} has no receipt, so it is not an output folder of crossinit",
            "Name the folder that a manifest's `output:` names.",
        )
    if repair:
        set_aside(store, found.findings)
    print_verification(store, found, out(), repaired=repair, as_json=json)
    if found.findings or not found.files:
        raise typer.Exit(1)


def export(
    output: OutputArgument,
    format: Annotated[
        str, typer.Option("--format", help="webui (A1111, Forge, ComfyUI, InvokeAI, kohya) or diffusers.")
    ] = "webui",
    to: Annotated[str | None, typer.Option(help="Target folder; left out, export-<format> in it.")] = None,
) -> None:
    """Write embeddings for other tools."""
    from crossinit_batch.report.export import export_artifacts
    from crossinit_batch.storage.store import Store

    exported = export_artifacts(Store(output), format, to)
    for path in exported.written:
        tell(path)
    for method, why in exported.left_out.items():
        say(f"{method} is left out: each {why.reason}")
