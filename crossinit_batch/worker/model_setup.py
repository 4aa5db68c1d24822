"""A loaded model made ready for a plan on its device: precision of products, sizes of passes, compilation."""

from __future__ import annotations

import math
from functools import partial

import torch

from crossinit_batch.errors import JobError
from crossinit_batch.events import Note, Warned
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.model.compilation import WORKS, compile_unet, gradient_error, is_rounding, keep_compiled
from crossinit_batch.model.device import attention_backends
from crossinit_batch.model.flops import Architecture
from crossinit_batch.plan.batch_sizes import decoded_together
from crossinit_batch.worker.context import RunContext


def set_up(model: BaseModel, context: RunContext) -> None:
    """Configure a freshly loaded model for the plan, and have it report where its memory runs out."""
    plan, architecture = context.plan, Architecture.read(model.source.folder)
    model.learning.size = plan.compute.samples
    model.decoding.size = decoded_together(architecture, architecture.latent_side(plan.render.size))
    for work, micro in (("learning", model.learning), ("drawing", model.drawing), ("decoding", model.decoding)):
        micro.on_halved = partial(_report_halving, context, work)
    model.attention = attention_backends(model.device)
    if model.device.type == "cuda" and model.dtype != torch.float32:
        # Who takes a U-Net in half precision takes the text encoder's products in TF32: they are a third of a step.
        torch.set_float32_matmul_precision("high")
    if compiled := [work for work in WORKS if plan.compute.compiles(work)]:
        context.report(Note(f"{' and '.join(compiled)}: compiled at the first steps, which takes minutes once"))
        compile_unet(model, plan.model.dtype, compiled)


def check_compiled_learning(model: BaseModel, context: RunContext, samples: int) -> None:
    """Compile what learning with so many samples needs; learn without it, and report that, where it would be wrong."""

    def check(_part: slice, size: int) -> None:
        if model.compiled_learning is None or size in model.checked_sizes:
            return
        error = gradient_error(model, size)
        if is_rounding(error, model.dtype):
            model.checked_sizes.add(size)
            keep_compiled(model, context.plan.model.dtype, "learning")
            return
        model.compiled_learning = None
        off = f"{error:.0%} off" if math.isfinite(error) else "not finite"
        context.report(Warned(f"learning is not compiled: compiled code's gradient is {off} on this device"))

    model.learning.run(samples, check)


def warn_of_cut_prompts(model: BaseModel, context: RunContext) -> None:
    """Warn of prompts that are longer than the text encoder reads, with what of them is lost."""
    for prompt in context.plan.prompts:
        try:
            cut = model.caption(prompt.text, tokens=2).cut
        except JobError:
            continue
        if cut:
            context.report(Warned(f"prompt {prompt.text!r} is too long; this is cut off: {cut!r}"))


def _report_halving(context: RunContext, work: str, size: int, wanted: int) -> None:
    fewer = f"{work} goes on with {size} instead of {wanted} samples at a time, and the same results"
    context.report(Warned(f"the device ran out of memory: {fewer}"))
