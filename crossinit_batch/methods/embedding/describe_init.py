"""An initial vector described by norms and cosines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

import torch

from crossinit_batch.errors import RequestError
from crossinit_batch.methods.embedding.initial_vector import InitialVector, initial_vector
from crossinit_batch.methods.embedding.names import texts_of
from crossinit_batch.methods.embedding.settings import InitSettings
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.source import fetched_model
from crossinit_batch.settings import ModelSettings

REFERENCE_WORDS = ("face", "person")


def describe_initial_vector(settings: ModelSettings, init: InitSettings, save: Path | None) -> dict[str, Any]:
    """Compute (or find in the cache) a model's initial vector and measure it; `save` writes it as a file.

    Norms of v_init, of the mean it comes from and of the reference words' token embeddings, with cosines
    between v_init and each; the reference words both as token embeddings and as the encoder's output.
    """
    source = fetched_model(settings)
    model = BaseModel.load(source, torch.device("cpu"), "float32")
    found, how = initial_vector(model, init)
    if save is not None:
        _save(found, save)
    references = {}
    for word in REFERENCE_WORDS:
        plain, _ = initial_vector(model, InitSettings(words=(word,), encoder=False))
        encoded, _ = initial_vector(model, InitSettings(words=(word,)))
        references[word] = plain.v_init[0]
        references[f"E({word})"] = encoded.v_init[0]
    table = model.text_encoder.get_input_embeddings().weight
    rows = []
    for number, (v, mean) in enumerate(zip(found.v_init, found.v_bar, strict=True)):
        compared = {"mean": mean, **references}
        cosine = {name: float(torch.cosine_similarity(v, other, dim=0)) for name, other in compared.items()}
        rows.append(
            {
                "token": number,
                "norm": float(v.norm()),
                "norm_mean": float(mean.norm()),
                "cosine": cosine,
            }
        )
    return {
        "model": settings.id,
        "revision": source.revision,
        "texts": len(texts_of(init)),
        "encoder": init.encoder,
        "width": model.width,
        "digest": found.digest,
        "from": how,
        "table_norm": float(table.norm(dim=1).mean()),
        "word_norms": {name: float(vector.norm()) for name, vector in references.items()},
        "tokens": rows,
        "saved": str(save) if save else None,
    }


def _save(vector: InitialVector, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(vector.dump())
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}", "Give another --save.") from None


def print_description(description: dict[str, Any], stream: TextIO, *, as_json: bool) -> None:
    """Print a description as a table, or as JSON."""
    if as_json:
        stream.write(json.dumps(description) + "\n")
        return
    from rich.table import Table

    from crossinit_batch.console.tables import print_table

    source = f"{description['texts']} texts{', through the text encoder' if description['encoder'] else ''}"
    stream.write(f"Initial vector of {description['model']}: {source}, width {description['width']}\n")
    stream.write(f"digest {description['digest'][:16]} ({description['from']}); ")
    stream.write(f"a token embedding of this model has norm {description['table_norm']:.3f} on average\n")
    table = Table(box=None, pad_edge=False)
    names = list(description["tokens"][0]["cosine"])
    for heading in ("token", "norm", "norm of mean", *(f"cos to {name}" for name in names)):
        table.add_column(heading, justify="right")
    for row in description["tokens"]:
        cosines = (f"{row['cosine'][name]:+.3f}" for name in names)
        table.add_row(f"v{row['token']}", f"{row['norm']:.3f}", f"{row['norm_mean']:.3f}", *cosines)
    print_table(table, stream)
    if description["saved"]:
        stream.write(f"Saved {description['saved']}\n")
