"""The frozen pipeline behind one small interface: encode text, encode a picture, predict noise, decode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTextModel

from crossinit_batch.errors import JobError
from crossinit_batch.model.components import load_scheduler_config, load_tokenizer, load_weights
from crossinit_batch.model.counters import Counters as Counters
from crossinit_batch.model.device import DTYPES
from crossinit_batch.model.libraries import quiet_libraries
from crossinit_batch.model.micro_batch import MicroBatch
from crossinit_batch.model.source import ModelSource
from crossinit_batch.model.upsampling import double_by_views
from crossinit_batch.prompts import SLOT

_DECODED_AT_ONCE = 4
"""Pictures: in float32 at 512 x 512, one takes some 2.5 GiB while it is decoded."""


@dataclass(frozen=True)
class Caption:
    """A tokenized text: `ids` (1, length); `slot` is the index of the person's first token, or None.

    `cut` is the end of the text that did not fit into the encoder's context.
    """

    ids: Tensor
    slot: int | None
    cut: str


@dataclass
class BaseModel:
    """A Stable Diffusion pipeline on one device: weights frozen, U-Net in `dtype`, all else in float32.

    The text encoder stays in float32 since a step of v is smaller than bfloat16 resolves; the autoencoder
    since bfloat16's eight bits would show in eight-bit pictures. `learning`, `drawing` and `decoding` are how many
    samples of each work its memory holds; `attention` are the attention backends to try, None for torch's
    choice; `compiled_learning` and `compiled_drawing`, where set, predict instead of the U-Net, with gradients and
    without; the first has been verified for passes of `checked_sizes`.
    """

    tokenizer: Any
    text_encoder: Any
    vae: Any
    unet: Any
    noise_scheduler: Any
    scheduler_config: dict[str, Any]
    source: ModelSource
    device: torch.device
    dtype: torch.dtype
    counters: Counters = field(default_factory=Counters)
    learning: MicroBatch = field(default_factory=MicroBatch)
    drawing: MicroBatch = field(default_factory=MicroBatch)
    decoding: MicroBatch = field(default_factory=lambda: MicroBatch(_DECODED_AT_ONCE))
    attention: list[SDPBackend] | None = None
    compiled_learning: Any = None
    checked_sizes: set[int] = field(default_factory=set)
    compiled_drawing: Any = None

    @classmethod
    def load(cls, source: ModelSource, device: torch.device, dtype: str, counters: Counters | None = None) -> BaseModel:
        """Load each component by its class, from safetensors alone, with no code from the repository.

        ModelError where a component's files are damaged or incomplete.
        """
        counters = counters or Counters()
        counters.model_loads += 1
        with quiet_libraries():
            text_encoder = load_weights(source, "text_encoder", CLIPTextModel, dtype=torch.float32)
            vae = load_weights(source, "vae", AutoencoderKL, torch_dtype=torch.float32)
            unet = load_weights(source, "unet", UNet2DConditionModel, torch_dtype=DTYPES[dtype])
            tokenizer = load_tokenizer(source)
            scheduler_config = load_scheduler_config(source)
            noise_scheduler = DDPMScheduler.from_config(scheduler_config)
        double_by_views(unet)
        for module in (text_encoder, vae, unet):
            module.requires_grad_(False).eval().to(device)
        return cls(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            vae=vae,
            unet=unet,
            noise_scheduler=noise_scheduler,
            scheduler_config=scheduler_config,
            source=source,
            device=device,
            dtype=DTYPES[dtype],
            counters=counters,
        )

    @contextlib.contextmanager
    def plain_unet(self) -> Iterator[None]:
        """While open the U-Net runs uncompiled: for methods that change it, or learn other than through v."""
        compiled = self.compiled_learning, self.compiled_drawing
        self.compiled_learning = self.compiled_drawing = None
        try:
            yield
        finally:
            self.compiled_learning, self.compiled_drawing = compiled

    @property
    def width(self) -> int:
        """The width of a token embedding."""
        return int(self.text_encoder.config.hidden_size)

    @property
    def context_length(self) -> int:
        """Tokens that the text encoder reads, begin and end tokens included."""
        return int(self.text_encoder.config.max_position_embeddings)

    @property
    def latent_scale(self) -> int:
        """Pixels a latent is wide."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def native_size(self) -> int:
        """The side in pixels of the pictures that the model was trained on."""
        return int(self.unet.config.sample_size) * self.latent_scale

    @property
    def prediction_type(self) -> str:
        """`epsilon` or `v_prediction`."""
        return str(self.noise_scheduler.config.prediction_type)

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a text, without begin and end."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def caption(self, text: str, tokens: int) -> Caption:
        """Tokenize a text whose slot, if it has one, takes `tokens` tokens; the slot's ids mean nothing.

        The text is cut at the slot first, as any tokenizer does around an added token. What does not fit is
        cut off; JobError where the slot itself does not fit.
        """
        before, slot_mark, after = text.partition(SLOT)
        person = [self.tokenizer.unk_token_id] * (tokens if slot_mark else 0)
        head, tail = self.token_ids(before), self.token_ids(after)
        room = self.context_length - 2
        if slot_mark and len(head) + tokens > room:
            raise JobError(
                f"prompt {text!r}: {len(head)} tokens stand before the person, and only {room} fit in all",
                f"Move {SLOT} nearer to the beginning.",
            )
        body = [*head, *person, *tail]
        ids = [self.tokenizer.bos_token_id, *body[:room], self.tokenizer.eos_token_id]
        ids += [self.tokenizer.pad_token_id] * (self.context_length - len(ids))
        cut = self.tokenizer.decode(body[room:]).strip() if len(body) > room else ""
        return Caption(torch.tensor([ids]), len(head) + 1 if slot_mark else None, cut)

    def encode_text(self, ids: Tensor, slots: Tensor | None = None, v: Tensor | None = None) -> Tensor:
        """E: hidden states (B, length, width) of ids (B, length), v (B, tokens, width) inserted at slots (B,).

        v replaces the token embeddings, before positions are added, and gradients reach it.
        """
        self.counters.text_encodes += ids.shape[0]
        with _inserting(self.text_encoder, slots, v):
            states: Tensor = self.text_encoder(input_ids=ids.to(self.text_encoder.device)).last_hidden_state
        return states

    def encode_alone(self, v: Tensor) -> Tensor:
        """E(v): the encoder's output at the positions of v (N, tokens, width), alone between begin and end (Eq. 3)."""
        ids, slots, positions = self._alone(v)
        return self.encode_text(ids, slots, v)[:, positions]

    def block_states(self, v: Tensor) -> Tensor:
        """The states of v alone in E, (blocks + 2, N, tokens, width).

        First with its positions added, then after each block, last after the final norm, which is E(v).
        """
        ids, slots, positions = self._alone(v)
        self.counters.text_encodes += ids.shape[0]
        with torch.no_grad(), _inserting(self.text_encoder, slots, v):
            found = self.text_encoder(input_ids=ids.to(self.text_encoder.device), output_hidden_states=True)
        return torch.stack([*found.hidden_states, found.last_hidden_state])[:, :, positions]

    def _alone(self, v: Tensor) -> tuple[Tensor, Tensor, slice]:
        """A caption of nothing but v (N, tokens, width): ids (N, length), slots (N,), and the positions of v in it."""
        caption = self.caption(SLOT, tokens=v.shape[1])
        assert caption.slot is not None
        ids, slots = caption.ids.expand(v.shape[0], -1), torch.full((v.shape[0],), caption.slot)
        return ids, slots, slice(caption.slot, caption.slot + v.shape[1])

    def encode_image(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (1, channels, side, side) of the latents of a picture (1, 3, H, W)."""
        self.counters.vae_encodes += samples.shape[0]
        with torch.no_grad():
            posterior = self.vae.encode(samples.to(self.device)).latent_dist
        return posterior.mean, posterior.std

    def scale_latents(self, latents: Tensor) -> Tensor:
        """Latents as the U-Net expects them."""
        return latents * self.vae.config.scaling_factor  # type: ignore[no-any-return]

    def predict_noise(self, latents: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        """The U-Net's prediction in float32, the shape of latents (B, channels, side, side)."""
        self.counters.unet_forwards += latents.shape[0]
        compiled = self.compiled_learning if torch.is_grad_enabled() else self.compiled_drawing
        return self.noise_by(self.unet if compiled is None else compiled, latents, timesteps, states)

    def noise_by(self, unet: Any, latents: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        """The prediction of one form of the U-Net, compiled or not, as `predict_noise` has it."""
        tried = sdpa_kernel(self.attention, set_priority=True) if self.attention else contextlib.nullcontext()
        with tried:
            (sample,) = unet(latents.to(self.dtype), timesteps, states.to(self.dtype), return_dict=False)
        return sample.float()  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> np.ndarray:
        """Pictures, uint8 (B, H, W, 3), from scaled latents (B, channels, side, side).

        All passes have one shape, the last one padded, so that no picture depends on its batch mates. Pictures become
        bytes on the device, so that less data is copied from it.
        """
        self.counters.vae_decodes += latents.shape[0]
        unscaled = latents.float() / self.vae.config.scaling_factor

        def decoded(part: slice, size: int) -> Tensor:
            with torch.no_grad():
                sample = self.vae.decode(self.padded(unscaled[part], size)).sample
            pixels = (sample / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1) * 255
            small: Tensor = pixels.round().to(torch.uint8)[: part.stop - part.start]
            return small

        array: np.ndarray = torch.cat(self.decoding.run(len(latents), decoded)).cpu().numpy()
        return array

    def reduced(self, *works: str) -> dict[str, Any]:
        """The receipts' entry on works for which memory ran out: empty where it did not."""
        found = {work: getattr(self, work).reduced for work in works if getattr(self, work).reduced}
        return {"micro_batch": found} if found else {}

    def padded(self, samples: Tensor, size: int) -> Tensor:
        """Samples (B, …) filled up to `size` with copies of the first, where there are fewer."""
        missing = size - samples.shape[0]
        self.counters.padding += missing
        return torch.cat([samples, samples[:1].expand(missing, *samples.shape[1:])]) if missing else samples


def inserted_at(vectors: Tensor, slots: Tensor, v: Tensor) -> Tensor:
    """Vectors (B, length, width) with v (B, tokens, width) instead from slots (B,) on; gradients reach v."""
    positions = slots.to(v.device)[:, None] + torch.arange(v.shape[1], device=v.device)
    positions = positions[..., None].expand(-1, -1, v.shape[2])
    return vectors.scatter(1, positions, v.to(vectors.dtype))


@contextlib.contextmanager
def _inserting(text_encoder: Any, slots: Tensor | None, v: Tensor | None) -> Iterator[None]:
    """While open, v replaces the token embeddings at the slots; no table is resized, no row is written."""
    if v is None or slots is None:
        yield
        return

    def insert(_module: Any, _inputs: Any, embeddings: Tensor) -> Tensor:
        return inserted_at(embeddings, slots, v)

    hook = text_encoder.get_input_embeddings().register_forward_hook(insert)
    try:
        yield
    finally:
        hook.remove()
