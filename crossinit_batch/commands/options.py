"""Options that several commands share, word for word."""

from __future__ import annotations

import os
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings, failures and the end.")]
Device = Annotated[str | None, typer.Option(help="Device to use, such as cpu or cuda:1; the best one if left out.")]
Devices = Annotated[
    str | None, typer.Option(help="A worker process each on these, such as cuda:0,cuda:1; else on all.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, max=256, help="Worker processes; left out, one a device, on the CPU this one.")
]
Shard = Annotated[
    str | None,
    typer.Option(help="Do a part only, such as 3/16; array tasks of Slurm and Kubernetes need not say which."),
]
STUCK_AFTER = 60.0
StuckAfter = Annotated[
    float, typer.Option(min=0, help="Minutes without a word after which a worker process is replaced; 0 never.")
]
RequireLocks = Annotated[
    bool,
    typer.Option(
        "--require-locks",
        envvar="CROSSINIT_REQUIRE_LOCKS",
        help="Refuse an output folder whose storage cannot keep two runs apart, instead of a warning.",
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network: models come from the local cache only.")]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read pickled .bin and .pt files too; only if you trust them.")
]
OutputArgument = Annotated[str, typer.Argument(help="An output folder, local or a URL.")]


def go_offline(offline: bool) -> None:
    """Switch the network off where asked: the hub's library reads this once, when it is imported."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
