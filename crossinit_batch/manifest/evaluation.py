"""`evaluate:` of a manifest, or a command's options → the judges' settings, files as absolute paths."""

from __future__ import annotations

import os
from pathlib import Path

from crossinit_batch.errors import RequestError
from crossinit_batch.manifest.paths import Refused, local_path, problem_of_text
from crossinit_batch.manifest.reader import Reader
from crossinit_batch.manifest.schema import ManifestHead
from crossinit_batch.manifest.yaml_tree import MapNode, Node
from crossinit_batch.messages import quoted
from crossinit_batch.settings import (
    DEMO_EVALUATION,
    DEMO_JUDGE,
    INSIGHTFACE,
    EvaluationSettings,
    IdentitySettings,
    PromptSettings,
)


def read_evaluation(reader: Reader, node: Node | None, head: ManifestHead, folder: Path) -> EvaluationSettings | None:
    """The judges' settings; what is not set is the bundled judge for the demo model, else CLIP alone."""
    if node is None or reader.bad(node) or head.evaluate is None:
        return None
    if head.evaluate == "demo":
        return DEMO_EVALUATION
    given = {word: getattr(head.evaluate, word) for word in head.evaluate.model_fields_set}
    settings = default_evaluation(_is_demo(head)).model_copy(update=given)
    if isinstance(node, MapNode):
        return EvaluationSettings(
            identity=_identity(reader, node.values.get("identity"), settings.identity, folder),
            prompt=_prompt(reader, node.values.get("prompt"), settings.prompt, folder),
        )
    return settings


def default_evaluation(is_demo: bool) -> EvaluationSettings:
    """Who judges where nobody is named: the demo model's own judges, or CLIP alone, since we ship no other face net."""
    return DEMO_EVALUATION if is_demo else EvaluationSettings()


def _is_demo(head: ManifestHead) -> bool:
    return (head.model if isinstance(head.model, str) else head.model.id) == "demo"


def _identity(
    reader: Reader, node: Node | None, settings: IdentitySettings | None, folder: Path
) -> IdentitySettings | None:
    if settings is None or not isinstance(node, MapNode):
        return settings
    paths = {}
    for word, read in (("weights", recogniser_path), ("detector", judge_file)):
        at = node.values.get(word)
        if at is None or reader.bad(at):
            continue
        try:
            paths[word] = read(getattr(settings, word), folder)
        except Refused as error:
            reader.report(at, f"evaluate.identity.{word}", str(error))
    return settings.model_copy(update=paths)


def _prompt(reader: Reader, node: Node | None, settings: PromptSettings | None, folder: Path) -> PromptSettings | None:
    if settings is None or not isinstance(node, MapNode):
        return settings
    at = node.values.get("model")
    if at is None or reader.bad(at):
        return settings
    try:
        return settings.model_copy(update={"model": clip_model(settings.model, folder)})
    except Refused as error:
        reader.report(at, "evaluate.prompt.model", str(error))
        return settings


def recogniser_path(name: str, folder: Path) -> str:
    """A network's file, or an insightface pack's folder, as an absolute path; Refused where it is none.

    A pack's bare name is looked for where insightface keeps them: models/ in $INSIGHTFACE_HOME or ~/.insightface.
    """
    if not name.startswith(INSIGHTFACE):
        return judge_file(name, folder)
    pack = name.removeprefix(INSIGHTFACE)
    if trouble := problem_of_text(pack):
        raise Refused(trouble)
    home = Path(os.environ.get("INSIGHTFACE_HOME") or "~/.insightface").expanduser()
    path = local_path(pack, folder) if "/" in pack else str(home / "models" / pack)
    if not Path(path).is_dir():
        raise Refused(f"there is no folder {quoted(path)}: packs are never downloaded, so unpack {quoted(pack)} there")
    return f"{INSIGHTFACE}{path}"


def judge_file(name: str, folder: Path) -> str:
    """A network's file as an absolute path; Refused where it is none. The word demo stays."""
    if name == DEMO_JUDGE:
        return name
    if trouble := problem_of_text(name):
        raise Refused(trouble)
    if "://" in name:
        raise Refused(f"{quoted(name)} is a URL: weights are never downloaded, so give a local file")
    path = local_path(name, folder)
    if not Path(path).is_file():
        raise Refused(f"there is no file {quoted(path)}")
    if not path.lower().endswith(".onnx"):
        raise Refused(f"{quoted(name)} is no .onnx file: networks in other formats are not read")
    return path


def clip_model(name: str, folder: Path) -> str:
    """A CLIP model's folder as an absolute path, or its hub id; Refused where it can be neither."""
    if name == DEMO_JUDGE:
        return name
    if trouble := problem_of_text(name) or ("a URL is no model" if "://" in name else None):
        raise Refused(f"{trouble}: give a hub id, a local folder, or demo")
    path = local_path(name, folder)
    if Path(path).is_dir():
        return path
    if name.startswith((".", "/", "~")) or name.endswith("/"):
        raise Refused(f"there is no folder {quoted(path)}")
    return name


def evaluation_of_options(
    recogniser: str | None, detector: str | None, clip: str | None, layout: str
) -> EvaluationSettings | None:
    """The judges that a command's options name, None where they name none; RequestError for what cannot be."""
    if recogniser is None and detector is None and clip is None:
        return None
    if not (recogniser or "").startswith(INSIGHTFACE) and (recogniser is None) != (detector is None):
        raise RequestError(
            "--recogniser and --detector belong together: a face is found before it is recognised",
            "Name both, or neither for prompt scores alone.",
        )
    folder = Path.cwd()
    try:
        identity = None
        if recogniser is not None:
            found = judge_file(detector, folder) if detector is not None else ""
            identity = IdentitySettings.from_options(
                weights=recogniser_path(recogniser, folder), detector=found, layout=layout
            )
        prompt = PromptSettings() if clip is None else PromptSettings(model=clip_model(clip, folder))
    except Refused as error:
        raise RequestError(str(error), "Weights are never downloaded; see `crossinit evaluate --help`.") from None
    return EvaluationSettings(identity=identity, prompt=prompt)
