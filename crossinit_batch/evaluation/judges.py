"""The judges of an evaluation: where their files are, what they are (digests), and the judges themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossinit_batch.digest import digest_of
from crossinit_batch.errors import ModelError, RequestError
from crossinit_batch.model.files import file_digest
from crossinit_batch.model.source import hub_folder
from crossinit_batch.settings import DEFAULT_CLIP, DEMO_JUDGE, EvaluationSettings, IdentitySettings, PromptSettings
from crossinit_batch.storage.failures import reason_of
from crossinit_batch.storage.reading import opened_file, read_file
from crossinit_batch.world import JUDGES

if TYPE_CHECKING:
    import torch

    from crossinit_batch.evaluation.faces import FaceJudge
    from crossinit_batch.evaluation.similarity import PromptJudge

_CLIP_WEIGHTS = "model.safetensors"
_CLIP_FILES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    _CLIP_WEIGHTS,
)
_NETWORK_BYTES = 2**31
"""The largest network in bytes: no larger one is in a single ONNX file."""
_SAFE_REVISIONS = {DEFAULT_CLIP: "refs/pr/15"}
"""Where the hub keeps a repository's weights as safetensors, if its main branch has only pickles."""


def bundled_judge(name: str) -> Path:
    """The path of a judge of the small world: detector.onnx, recogniser.onnx, or the folder clip."""
    return JUDGES / name


@dataclass(frozen=True)
class JudgeFiles:
    """What the judges of some settings are: the SHA-256 of the networks' files, for CLIP the digest of its files."""

    detector: str = ""
    recogniser: str = ""
    clip: str = ""


def judge_files(settings: EvaluationSettings, *, fetch: bool = True) -> JudgeFiles:
    """What the judges of these settings are; CLIP is fetched where it is not here and `fetch` allows it.

    RequestError for a file that is not there. A CLIP model that is not on this machine is "unknown".
    """
    detector = recogniser = clip = ""
    if settings.identity is not None:
        detector, recogniser = _face_networks(settings.identity)
    if settings.prompt is not None:
        folder = clip_folder(settings.prompt, fetch)
        clip = _clip_digest(folder, fetch) if folder else "unknown"
    return JudgeFiles(detector, recogniser, clip)


def _face_networks(settings: IdentitySettings) -> tuple[str, str]:
    """What the detector and the recogniser are: the SHA-256 of each, or of an insightface pack's files for both."""
    if settings.pack is not None:
        from crossinit_batch.evaluation.insightface_pack import pack_identity

        return (pack_identity(Path(settings.pack)),) * 2
    return file_sha256(detector_file(settings)), file_sha256(recogniser_file(settings))


def detector_file(settings: IdentitySettings) -> Path:
    """The path of the face detector."""
    return _file(settings.detector, "detector.onnx")


def recogniser_file(settings: IdentitySettings) -> Path:
    """The path of the recognition network."""
    return _file(settings.weights, "recogniser.onnx")


def _file(name: str, bundled: str) -> Path:
    return bundled_judge(bundled) if name == DEMO_JUDGE else Path(name)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a judge's file; RequestError where it cannot be read."""
    try:
        with opened_file(path, _NETWORK_BYTES) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(
            f"the judge {path} cannot be read: {reason_of(error)}",
            "Weights are never downloaded: put the file there, or name another.",
        ) from None


def clip_folder(settings: PromptSettings, fetch: bool) -> Path | None:
    """The folder of a CLIP model, fetched from the hub where `fetch` allows it; None where it is not here."""
    if settings.model == DEMO_JUDGE:
        folder = bundled_judge("clip")
    elif Path(settings.model).is_dir():
        folder = Path(settings.model)
    else:
        revision = settings.revision or _SAFE_REVISIONS.get(settings.model)
        found = hub_folder(settings.model, revision, list(_CLIP_FILES), _is_clip, fetch)
        if found is None:
            return None
        folder = found
    if not _is_clip(folder):
        raise ModelError(
            f"prompt judge {settings.model!r}: {folder} has no {_CLIP_WEIGHTS} beside a config.json",
            "Name a CLIP model with safetensors: another `revision:`, or a folder that save_pretrained wrote.",
        )
    return folder


def weight_bytes(settings: EvaluationSettings) -> tuple[int, int]:
    """The bytes of the face networks' files and of CLIP's weights, 0 for what is not asked for or not here."""
    identity, clip = settings.identity, clip_folder(settings.prompt, fetch=False) if settings.prompt else None
    faces: Iterable[Path] = ()
    if identity is not None:
        pack = Path(identity.pack).rglob("*.onnx") if identity.pack is not None else None
        faces = pack or (detector_file(identity), recogniser_file(identity))
    return sum(file.stat().st_size for file in faces), (clip / _CLIP_WEIGHTS).stat().st_size if clip else 0


def _is_clip(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("config.json", _CLIP_WEIGHTS))


def _clip_digest(folder: Path, remember: bool) -> str:
    files = {name: folder / name for name in _CLIP_FILES if (folder / name).is_file()}
    return digest_of("clip", {name: file_digest(path, remember) for name, path in files.items()})


def check_judges(settings: EvaluationSettings, files: JudgeFiles) -> None:
    """Open the networks once, so that a file of another layout is refused before any work; RequestError."""
    _face_judge(settings, files, "cpu")


def _face_judge(asked: EvaluationSettings, files: JudgeFiles, device: str) -> FaceJudge | None:
    """The judge of faces; its files must be these."""
    settings = asked.identity
    if settings is None:
        return None
    if settings.pack is not None:
        from crossinit_batch.evaluation.insightface_pack import InsightFacePack

        if _face_networks(settings)[1] != files.recogniser:
            raise _changed(settings.pack)
        return InsightFacePack(Path(settings.pack), settings.confidence, device)
    from crossinit_batch.evaluation.detection import FaceDetector
    from crossinit_batch.evaluation.faces import NetworkPair
    from crossinit_batch.evaluation.networks import Network
    from crossinit_batch.evaluation.recognition import Recogniser

    found, known = detector_file(settings), recogniser_file(settings)
    detector = FaceDetector(Network(_planned_bytes(found, files.detector), found.name, device), settings.confidence)
    recogniser = Recogniser(Network(_planned_bytes(known, files.recogniser), known.name, device), settings.layout)
    return NetworkPair(detector, recogniser)


@dataclass(frozen=True)
class Judges:
    """The judges, loaded; None for a score that is not asked for."""

    faces: FaceJudge | None
    prompt: PromptJudge | None

    @classmethod
    def load(cls, asked: EvaluationSettings, files: JudgeFiles, device: torch.device) -> Judges:
        """Load them; RequestError where a file has changed since it was planned."""
        faces = _face_judge(asked, files, str(device))
        settings, prompt = asked.prompt, None
        if settings is not None:
            from crossinit_batch.evaluation.similarity import PromptJudge

            folder = clip_folder(settings, fetch=True)
            if folder is None or _clip_digest(folder, remember=True) != files.clip:
                raise _changed(settings.model)
            prompt = PromptJudge(folder, device)
        return cls(faces, prompt)


def _planned_bytes(path: Path, expected: str) -> bytes:
    if file_sha256(path) != expected:
        raise _changed(str(path))
    try:
        return read_file(path, _NETWORK_BYTES)
    except OSError as error:
        raise RequestError(f"the judge {path} cannot be read: {reason_of(error)}") from None


def _changed(name: str) -> RequestError:
    return RequestError(
        f"the judge {name} has changed since the plan was made",
        "Bring back the old one, or evaluate again: scores of different judges are never mixed.",
    )
