"""The peer's way from the first command to the last file: a process an identity, or two with diffusers' own script."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from crossinit_run import Request, environment
from timed_process import Cost, timed

SCRIPT = "examples/textual_inversion/textual_inversion.py"
STAND_IN = Path(__file__).with_name("peer_textual_inversion.py")


@dataclass(frozen=True)
class Peer:
    """How the peer works: on a device, in a precision, and by a checkout's own script where there is one."""

    device: str
    precision: str
    checkout: Path | None
    scratch: Path

    def run(self, request: Request) -> Cost:
        """Every identity of a request, one after the other; SystemExit where a picture is missing."""
        model, total = self._model_folder(request.model), Cost()
        for picture in request.pictures:
            output = self.scratch / "peer"
            shutil.rmtree(output, ignore_errors=True)
            total += self._identity(request, model, alone(picture), output)
            expect(output, "*/*.png", len(request.prompts) * request.images)
        return total

    def _identity(self, request: Request, model: Path, faces: Path, output: Path) -> Cost:
        words = [f"--model={model}", f"--pictures={faces}", f"--output={output}", f"--device={self.device}"]
        words += [f"--steps={request.steps}", f"--batch={request.batch}", f"--precision={self.precision}"]
        words += [f"--images={request.images}", f"--denoise-steps={request.denoise_steps}"]
        words += [f"--guidance={request.guidance}", *(f"--prompt={prompt}" for prompt in request.prompts)]
        learned = Cost()
        if self.checkout:
            learned, _ = timed(_script(self.checkout, model, faces, output, request), environment())
            words.append(f"--embedding={output / 'learned_embeds.safetensors'}")
        drawn, _ = timed([sys.executable, str(STAND_IN), *words], environment())
        return learned + drawn

    def _model_folder(self, model: str) -> Path:
        """The model's folder; a copy in float32 for the script, which takes weights as they lie on the disk."""
        from crossinit_batch.model.source import fetched_model
        from crossinit_batch.settings import ModelSettings

        folder = fetched_model(ModelSettings(id=model)).folder
        copy = self.scratch / "float32"
        if self.checkout and not copy.is_dir():
            import torch
            from diffusers import StableDiffusionPipeline

            from crossinit_batch.model.libraries import quiet_libraries

            with quiet_libraries():
                StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32).save_pretrained(copy)
        return copy if self.checkout else folder


def alone(picture: Path) -> Path:
    """A folder beside a picture with that picture alone, as the script wants it."""
    folder = picture.with_suffix("")
    folder.mkdir(exist_ok=True)
    shutil.copy(picture, folder)
    return folder


def expect(output: Path, pattern: str, wanted: int) -> None:
    """SystemExit unless so many pictures were made: else it would be no comparison."""
    made = len(list(output.glob(pattern)))
    if made != wanted:
        raise SystemExit(f"{made} instead of {wanted} pictures were made at {output}/{pattern}")


def _script(checkout: Path, model: Path, faces: Path, output: Path, request: Request) -> list[str]:
    """The command line of diffusers' own script."""
    resolution = json.loads((model / "vae/config.json").read_text())["sample_size"]
    return [
        *(sys.executable, str(checkout / SCRIPT)),
        *("--pretrained_model_name_or_path", str(model), "--train_data_dir", str(faces), "--output_dir", str(output)),
        *("--placeholder_token", "<person>", "--initializer_token", "person", "--num_vectors", "2"),
        *("--learnable_property", "object", "--resolution", str(resolution), "--learning_rate", "5e-3"),
        *("--train_batch_size", str(request.batch), "--max_train_steps", str(request.steps)),
    ]
