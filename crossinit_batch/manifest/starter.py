"""The commented manifest that a new project starts from."""

from __future__ import annotations

SCHEMA_FILE = "crossinit.schema.json"
"""The name of the JSON Schema that the starter's first line refers editors to."""

_STARTER = """\
# yaml-language-server: $schema=crossinit.schema.json
# A crossinit manifest. Only `identities` is required; paths are relative to this file.
# What it would do:  crossinit plan THIS_FILE       Do it:  crossinit run THIS_FILE
version: 1

# The run's name; without it, this file's name.
# name: faces

# The base model: a Hugging Face hub id, a local folder, or demo (small, bundled, runs on a CPU).
# As a mapping it takes id, revision, variant and dtype (auto, float32, bfloat16, float16).
model: demo

# Where results go: a folder, or s3://, gs:// or az://; without it, out/<name>.
# Here and in picture paths, ${VAR} is read from the environment.
# output: out/faces

# What all randomness is derived from.
seed: 0

# Whose faces. Without id, every file is a person and its name the id; with id, all its files show one person.
identities:
  - images: photos/*.jpg
    # limit: 200                  # only the first 200 files
  # - id: ada
  #   images: [ada/1.jpg, ada/2.jpg]

# How embeddings are found: cross-init (320 steps), cross-init-fast (25 steps), cross-init-released,
# textual-inversion, or variations of them under names of your own.
methods:
  - cross-init-fast
  # - {name: no-regularizer, use: cross-init, regularization: 0}
  # - {name: my-names, use: cross-init, init: {names: names.txt}}

# What to draw: a built-in set (paper: 20 prompts), a .yaml or .txt file, or a list. {} is the person.
prompts:
  - a photo of a {} person
  - {prompt: "a {} person on the beach", category: background}

# How pictures are drawn.
render:
  images_per_prompt: 4
  steps: 50                       # denoising steps
  guidance: 7.5                   # classifier-free guidance scale
  scheduler: dpmsolver++          # or ddim, euler
  # negative_prompt: blurry       # what pictures should not show
  # size: 512                     # side in pixels; without it, what the model was trained at
  # format: webp                  # or jpeg, with quality: 90; without it png, which loses nothing
  # guidance_until: 0.6           # guide only the first steps: a fifth less to compute, other pictures

# Scores of the pictures: demo for the bundled model's own judges; the README says how to name others.
# evaluate: demo

# How the work is cut up; results do not depend on it.
compute:
  identities_per_batch: auto      # share one U-Net batch during optimisation; auto: as memory allows
  images_per_batch: auto          # are denoised together
  checkpoint_every: 50            # optimisation steps; slow ones are saved every checkpoint_minutes: 5 too
"""


def starter_manifest() -> str:
    """The text of a commented manifest; it loads once there are pictures in photos/."""
    return _STARTER
