"""Commands to begin with: init, schema, init-vector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossinit_batch.commands.options import Json, Offline, go_offline
from crossinit_batch.console.terminal import out, tell
from crossinit_batch.errors import RequestError


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
    go_offline(offline)
    from crossinit_batch.methods.embedding.settings import InitSettings
    from crossinit_batch.settings import ModelSettings

    init = InitSettings.from_options(
        names=str(names.resolve()) if names else None,
        words=tuple(words) if words else None,
        columns=columns,
        vectors=vectors,
        encoder=encoder,
    )
    from crossinit_batch.methods.embedding.describe_init import describe_initial_vector, print_description

    description = describe_initial_vector(ModelSettings(id=model, revision=revision), init, save)
    print_description(description, out(), as_json=json)


def schema() -> None:
    """Print the manifest's JSON Schema."""
    import json as json_library

    from crossinit_batch.manifest.schema import manifest_schema

    tell(json_library.dumps(manifest_schema(), indent=2))


def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("manifest.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a commented starter manifest.

    Its JSON Schema is written beside it, for editors.
    """
    import json as json_library

    from crossinit_batch.manifest.schema import manifest_schema
    from crossinit_batch.manifest.starter import SCHEMA_FILE, starter_manifest

    if path.exists() and not force:
        raise RequestError(f"{path} is there already", "Name another file, or add --force.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(starter_manifest(), encoding="utf-8")
    beside = path.with_name(SCHEMA_FILE)
    beside.write_text(json_library.dumps(manifest_schema(), indent=2) + "\n", encoding="utf-8")
    tell(f"Wrote {path} and {beside}. Put your pictures under `identities:`, then: crossinit run {path}")
