"""Every path in the output folder, relative to it, with forward slashes.

manifest.yaml  plan.json                      what was asked, what was planned
initial/<digest>.safetensors                  what methods prepared once: the initial vectors that were used
<method>/<identity>/<the artifact's files>  losses.csv  receipt.json
<method>/<identity>/images/<nn-prompt-slug>/<kkk>.png|webp|jpg   images/receipt.json
<method>/<identity>/scores/scores.csv  scores/receipt.json
gallery/index.html  gallery/contact-sheet.jpg  gallery/sources/<identity>-<digest>.jpg
analysis/index.html  analysis/<figure>.png .svg .csv
study/index.html  study/pictures/<digest>.png|jpg     study.csv
scores.csv  summary.csv  report.md  report.html  failures.json
_state/checkpoints/<batch digest>.safetensors  only while a batch is being optimised
_state/studies/<study>.json                    which method drew which picture; not for participants
_state/receipts/<group>.json                   digests of published files that belong to no job
_state/aside/…                                 files that did not match their receipt
_state/run.lock  _state/<shard>.lock           locks of runs and shards at work, on a disk
_state/leases/<name>.<n>.json                  the same in a bucket
_state/shards/<shard>.json                     records of shards that have ended
"""

from __future__ import annotations

from crossinit_batch.prompts import Prompt

MANIFEST = "manifest.yaml"
PLAN = "plan.json"
FAILURES = "failures.json"
REPORT = "report.md"
REPORT_PAGE = "report.html"
SCORES = "scores.csv"
SUMMARY = "summary.csv"
GALLERY = "gallery/index.html"
CONTACT_SHEET = "gallery/contact-sheet.jpg"
ANALYSIS = "analysis/index.html"
STATE = "_state"
STUDY = "study/index.html"
STUDY_PICTURES = "study/pictures"
STUDY_TALLY = "study.csv"
STUDY_KEYS = "_state/studies"
CHECKPOINTS = "_state/checkpoints"
PUBLICATIONS = "_state/receipts"
ASIDE = "_state/aside"
LOCK = "_state/run.lock"
LEASES = "_state/leases"
SHARDS = "_state/shards"

LOSSES_FILE = "losses.csv"
RECEIPT_FILE = "receipt.json"
SCORES_FILE = "scores.csv"

RESERVED_NAMES = frozenset(
    {
        "initial",
        "gallery",
        "analysis",
        "study",
        STATE,
        MANIFEST,
        PLAN,
        FAILURES,
        REPORT,
        REPORT_PAGE,
        SCORES,
        SUMMARY,
        STUDY_TALLY,
    }
)
"""Names at the top of the folder that no method may take."""


PREPARED_FACT = "initial"
"""The receipts' key for the prepared file that a result started from."""


def prepared_file(digest: str) -> str:
    """The file of what a method computed once for all its results."""
    return f"initial/{digest[:16]}.safetensors"


def publication(group: str) -> str:
    return f"{PUBLICATIONS}/{group}.json"


def part_lock(shard: str) -> str:
    return f"_state/{shard}.lock"


def figure(name: str, ending: str) -> str:
    return f"analysis/{name}.{ending}"


def shard_record(shard: str) -> str:
    return f"{SHARDS}/{shard}.json"


def study_key(study: str) -> str:
    return f"{STUDY_KEYS}/{study}.json"


def study_picture(name: str) -> str:
    return f"{STUDY_PICTURES}/{name}"


def checkpoint(batch_digest: str) -> str:
    return f"{CHECKPOINTS}/{batch_digest[:16]}.safetensors"


def artifact_folder(method: str, identity: str) -> str:
    return f"{method}/{identity}"


def images_folder(method: str, identity: str) -> str:
    return f"{method}/{identity}/images"


def scores_folder(method: str, identity: str) -> str:
    return f"{method}/{identity}/scores"


SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}
"""Of picture files, by their format."""


def prompt_folder(number: int, prompt: Prompt) -> str:
    """The folder of a prompt's pictures, relative to an images folder; numbers count from 0."""
    return f"{number:02d}-{prompt.slug}"


def image_name(number: int, prompt: Prompt, index: int, kind: str = "png") -> str:
    """The name of picture `index` of prompt `number`, relative to its images folder; numbers count from 0."""
    return f"{prompt_folder(number, prompt)}/{index:03d}{SUFFIXES[kind]}"


def other_kinds(name: str) -> list[str]:
    """The names that a picture would have in the other formats."""
    stem, _, suffix = name.rpartition(".")
    return [f"{stem}{other}" for other in SUFFIXES.values() if other != f".{suffix}"]


def source_thumbnail(identity: str, digest: str) -> str:
    return f"gallery/sources/{identity}-{digest[:8]}.jpg"
