"""How well a picture shows what its prompt asks for: the cosine of CLIP's two embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from crossinit_batch.errors import ModelError
from crossinit_batch.model.libraries import quiet_libraries
from crossinit_batch.prompts import Prompt


def prompt_words(prompt: Prompt) -> str:
    """What is compared with a picture: the prompt without its placeholder, as "a photo of a person"."""
    return " ".join(prompt.fill("").split())


class PromptJudge:
    """CLIP on one device in float32; each prompt is encoded once."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load from a folder, safetensors alone, no code of its own; ModelError where that fails."""
        import transformers

        # The other image processor, through torchvision, resizes a little differently; scores should not depend on it.
        processor = getattr(transformers, "CLIPImageProcessorPil", transformers.CLIPImageProcessor)
        try:
            with quiet_libraries():
                model, report = transformers.CLIPModel.from_pretrained(
                    str(folder),
                    use_safetensors=True,
                    local_files_only=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
                self._tokenizer = transformers.CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
                self._processor = processor.from_pretrained(str(folder), local_files_only=True)
        except Exception as error:  # on damaged files, the library raises types of its own
            raise _unusable(folder, f"{type(error).__name__}: {error}") from None
        if missing := sorted(report["missing_keys"]):
            raise _unusable(folder, f"{len(missing)} tensors are missing, {missing[0]} among them")
        self._model: Any = model.requires_grad_(False).eval().to(device)
        self._device = device
        self._texts: dict[str, Tensor] = {}

    def similarities(self, images: Sequence[Image.Image], prompt: Prompt) -> list[float]:
        """The cosine in [-1, 1] of each RGB picture with the prompt."""
        text = self._text(prompt_words(prompt))
        with torch.inference_mode():
            pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"].to(self._device)
            features = self._model.get_image_features(pixel_values=pixels).pooler_output
            cosines = torch.nn.functional.normalize(features, dim=-1) @ text
        return [float(cosine) for cosine in cosines.cpu()]

    def _text(self, words: str) -> Tensor:
        """The unit vector (width,) of a text, cut to CLIP's context."""
        if words not in self._texts:
            tokens = self._tokenizer(
                [words],
                truncation=True,
                max_length=self._model.config.text_config.max_position_embeddings,
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                features = self._model.get_text_features(**tokens).pooler_output
            self._texts[words] = torch.nn.functional.normalize(features[0], dim=-1)
        return self._texts[words]


def _unusable(folder: Path, reason: str) -> ModelError:
    return ModelError(
        f"the CLIP model in {folder} cannot be loaded: {' '.join(reason.split())[:300]}",
        "Name a folder that transformers' CLIPModel.save_pretrained wrote, with tokenizer and image processor.",
    )
