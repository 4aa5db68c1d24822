"""YAML → typed Manifest; every error at once, with file:line:column and "did you mean"."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossinit_batch.errors import ManifestError
from crossinit_batch.manifest.evaluation import read_evaluation
from crossinit_batch.manifest.globbing import LocalListings
from crossinit_batch.manifest.identities import Identity, read_identities
from crossinit_batch.manifest.methods import read_methods
from crossinit_batch.manifest.naming import id_of, problem_of_id
from crossinit_batch.manifest.paths import Refused, local_path, location, problem_of_text
from crossinit_batch.manifest.prompts import problem_of_spec, prompts_path, read_prompt_file, read_prompt_list
from crossinit_batch.manifest.reader import Reader
from crossinit_batch.manifest.schema import ManifestHead, manifest_file
from crossinit_batch.manifest.yaml_tree import ListNode, MapNode, Node, parse
from crossinit_batch.messages import quoted
from crossinit_batch.methods.planned import LearnedMethod
from crossinit_batch.methods.registry import presets
from crossinit_batch.prompts import PROMPT_SETS, Prompt
from crossinit_batch.settings import ComputeSettings, EvaluationSettings, ModelSettings, RenderSettings
from crossinit_batch.storage.text_file import read_text


@dataclass(frozen=True)
class Manifest:
    """What the user wants: all paths absolute, globs and prompt files read, presets filled in."""

    text: str
    name: str
    model: ModelSettings
    output: str
    seed: int
    identities: tuple[Identity, ...]
    methods: tuple[LearnedMethod, ...]
    prompts: tuple[Prompt, ...]
    render: RenderSettings
    compute: ComputeSettings
    evaluate: EvaluationSettings | None = None


def load_manifest(path: str | Path) -> Manifest:
    """The manifest in a file, paths relative to its folder; ManifestError with every problem at once."""
    file = str(path)
    text = read_text(Path(path), file)
    source = parse(text, file)
    if isinstance(source.root, MapNode):
        manifest = _Loader(Reader(source), source.root, Path(os.path.normpath(Path.cwd() / file))).load(text)
        if not source.problems:
            return manifest
    elif source.root is not None:
        kind = "a list" if isinstance(source.root, ListNode) else "a single value"
        source.report(source.root, "", f"a manifest is a mapping with the key identities; this is {kind}")
    raise ManifestError(source.problems)


class _Loader:
    """Reads one manifest; problems go to the reader."""

    def __init__(self, reader: Reader, root: MapNode, path: Path) -> None:
        self.reader, self.root, self.path, self.folder = reader, root, path, path.parent

    def load(self, text: str) -> Manifest:
        values, meant = self.reader.fields(self.root, manifest_file(), "")
        own = {word: value for word, value in values.items() if word in ManifestHead.model_fields}
        head = self.reader.validated(self.root, ManifestHead, "", own, set())
        if "identities" not in values and "identities" not in meant:
            self.reader.source.report(self.root, "identities", "the key identities is required")
        name = self.name(head)
        return Manifest(
            text=text,
            name=name,
            model=self.model(head),
            output=self.output(head, name),
            seed=head.seed,
            identities=self.identities(values.get("identities")),
            methods=self.methods(values.get("methods")),
            prompts=self.prompts(values.get("prompts", "paper")),
            render=head.render,
            compute=head.compute,
            evaluate=read_evaluation(self.reader, self.root.values.get("evaluate"), head, self.folder),
        )

    def name(self, head: ManifestHead) -> str:
        node = self.root.values.get("name")
        name = head.name if node else id_of(str(self.path))
        if (trouble := problem_of_id(name)) and not (node and self.reader.bad(node)):
            advice = f"the file's name {quoted(self.path.name)} makes no name for the run, so write name: "
            self.reader.report(node or self.root, "name", trouble if node else advice + trouble)
        return name

    def model(self, head: ManifestHead) -> ModelSettings:
        """The base model's settings; a folder beside the manifest is named by its absolute path."""
        model = head.model if isinstance(head.model, ModelSettings) else ModelSettings()
        name = model.id if isinstance(head.model, ModelSettings) else head.model
        node: Node | None = self.root.values.get("model")
        if isinstance(node, MapNode):
            node = node.values.get("id")
        if node is None or self.reader.bad(node):
            return model
        if trouble := problem_of_text(name) or ("a URL is no model" if "://" in name else None):
            self.reader.report(node, "model", f"{trouble}: give a hub id, a local folder, or demo")
            return model
        folder = local_path(name, self.folder)
        if name != "demo" and LocalListings().look(folder) == "folder":
            name = folder
        elif name.startswith((".", "/", "~")) or name.endswith("/"):
            self.reader.report(node, "model", f"there is no folder {quoted(folder)}")
        return model.model_copy(update={"id": name})

    def output(self, head: ManifestHead, name: str) -> str:
        node = self.root.values.get("output")
        if node is None or self.reader.bad(node):
            return str(self.folder / "out" / name)
        try:
            output = location(head.output, self.folder)
            if "://" not in output:
                _check_folder(Path(output))
            return output
        except (Refused, OSError) as error:
            self.reader.report(node, "output", str(error))
            return ""

    def identities(self, values: Any) -> tuple[Identity, ...]:
        node = self.root.values.get("identities")
        if isinstance(node, ListNode) and isinstance(values, list):
            return read_identities(self.reader, node, values, self.folder)
        return ()

    def methods(self, values: Any) -> tuple[LearnedMethod, ...]:
        node = self.root.values.get("methods")
        if isinstance(node, ListNode) and isinstance(values, list):
            return read_methods(self.reader, node, values, self.folder)
        return (LearnedMethod("cross-init", "cross-init", presets()["cross-init"]),)

    def prompts(self, spec: Any) -> tuple[Prompt, ...]:
        node = self.root.values.get("prompts")
        if isinstance(node, ListNode):
            return read_prompt_list(self.reader, node, "prompts")
        if not isinstance(spec, str) or node is None:
            return PROMPT_SETS["paper"]
        if spec in PROMPT_SETS:
            return PROMPT_SETS[spec]
        if trouble := problem_of_spec(spec, self.folder):
            self.reader.report(node, "prompts", trouble)
            return ()
        path = prompts_path(spec, self.folder)
        try:
            return read_prompt_file(path, str(path))
        except ManifestError as error:
            self.reader.source.problems.extend(error.problems)
            return ()


def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made, since what should be a folder above it is a file."""
    for path in (folder, *folder.parents):
        if path.is_dir():
            return
        if path.exists():
            raise Refused(f"{quoted(str(path))} is a file, not a folder")
