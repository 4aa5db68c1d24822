"""Learned embeddings as files for other tools."""

from __future__ import annotations

from dataclasses import dataclass

from crossinit_batch import layout
from crossinit_batch.errors import RequestError
from crossinit_batch.methods.embedding.formats import dump_learned_embeds, dump_webui
from crossinit_batch.plan.frozen import read_plan
from crossinit_batch.report.stored_embedding import stored_embedding
from crossinit_batch.storage.receipts import read_receipt
from crossinit_batch.storage.store import Store

FORMATS = ("webui", "diffusers")


@dataclass(frozen=True)
class Exported:
    """The paths written, and the methods whose embeddings no other tool can load."""

    written: tuple[str, ...]
    left_out: tuple[str, ...]


def export_embeddings(store: Store, form: str, folder: str | None) -> Exported:
    """Write every embedding that has a receipt, but none that lives in the text encoder's output.

    `webui`: `<method>/<identity>.safetensors` with the one key `emb_params`, for A1111, Forge, ComfyUI, InvokeAI and
    kohya, which name an embedding by its file. `diffusers`: `<method>/<identity>/learned_embeds.safetensors`, a
    folder each for `load_textual_inversion`. With a single method its folder is left out. RequestError where there
    is nothing to export.
    """
    if form not in FORMATS:
        raise RequestError(f"--format {form!r} is not known", f"Choose one of: {', '.join(FORMATS)}.")
    plan = read_plan(store)
    if plan is None:
        raise RequestError(
            f"{store} is not an output folder of crossinit", "Name the folder a manifest's output names."
        )
    target = Store(folder or f"{store.url.rstrip('/')}/export-{form}")
    several = len(plan.methods) > 1
    written, left_out = [], []
    for job in plan.jobs:
        source = layout.artifact_folder(*job.key)
        receipt = read_receipt(store, f"{source}/{layout.RECEIPT_FILE}")
        if receipt is None:
            continue
        embedding = stored_embedding(store, receipt)
        if embedding.stand_in is not None:
            left_out.append(job.method)
            continue
        prefix = f"{job.method}/" if several else ""
        if form == "webui":
            path, content = f"{prefix}{job.identity}.safetensors", dump_webui(embedding.v, embedding.metadata)
        else:
            path = f"{prefix}{job.identity}/{layout.EMBEDDING_FILE}"
            content = dump_learned_embeds(embedding.v, job.identity, embedding.metadata)
        target.write(path, content)
        written.append(f"{target}/{path}")
    if not written and left_out:
        raise RequestError(
            f"{store}: every embedding lives in the text encoder's output (`place: output`), where no other tool can "
            "load it",
            "Draw with `crossinit render --embeddings`, or learn with `place: input`.",
        )
    if not written:
        raise RequestError(f"{store} has no embedding yet", "`crossinit status` shows how far its run is.")
    return Exported(tuple(written), tuple(dict.fromkeys(left_out)))
