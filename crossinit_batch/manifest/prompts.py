"""Prompts as users give them: a built-in set, a file, or a list in the manifest."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from crossinit_batch.errors import ManifestError, Problem, RequestError
from crossinit_batch.manifest.reader import BAD, Reader
from crossinit_batch.manifest.schema import PromptEntry
from crossinit_batch.manifest.yaml_tree import ListNode, MapNode, Node, found, parse
from crossinit_batch.messages import did_you_mean, quoted
from crossinit_batch.prompts import PROMPT_SETS, SLOT, Prompt, problem_of
from crossinit_batch.storage.text_file import read_text

SUFFIXES = (".yaml", ".yml", ".txt")


def load_prompts(spec: str, folder: Path) -> tuple[Prompt, ...]:
    """The prompts of a built-in set or a file relative to `folder`; RequestError when there is none."""
    if spec in PROMPT_SETS:
        return PROMPT_SETS[spec]
    if trouble := problem_of_spec(spec, folder):
        raise RequestError(f"prompts: {trouble}", "Built-in sets: " + ", ".join(PROMPT_SETS))
    return read_prompt_file(prompts_path(spec, folder), spec)


def problem_of_spec(spec: str, folder: Path) -> str | None:
    """Why a spec is neither a built-in set nor an existing prompts file, or None."""
    if spec in PROMPT_SETS:
        return None
    if SLOT in spec:
        return f"{quoted(spec)} is a prompt, not a file: write a list, ['{SLOT} …']"
    path = prompts_path(spec, folder)
    if "://" in spec:
        return f"{quoted(spec)} is a URL: a prompts file is a local file"
    if path.suffix.lower() in SUFFIXES:
        try:
            return None if path.is_file() else f"there is no prompts file {quoted(str(path))}"
        except OSError as error:
            return f"the prompts file {quoted(spec)} cannot be read: {error.strerror}"
    if "/" in spec or "." in spec:
        return f"{quoted(spec)} is no prompts file: its name must end in {', '.join(SUFFIXES)}"
    meant = did_you_mean(spec, tuple(PROMPT_SETS))
    advice = f"did you mean {meant}?" if meant else f"there is {', '.join(PROMPT_SETS)}; a file ends in .yaml or .txt"
    return f"unknown set of prompts {quoted(spec)}: {advice}"


def read_prompt_file(path: Path, file: str) -> tuple[Prompt, ...]:
    """The prompts of a .yaml, .yml or .txt file; ManifestError with all problems, `file` its name there."""
    text = read_text(path, file)
    if path.suffix.lower() == ".txt":
        return _read_lines(text, file)
    source = parse(text, file)
    prompts: tuple[Prompt, ...] = ()
    if isinstance(source.root, ListNode):
        prompts = read_prompt_list(Reader(source), source.root, "")
    elif source.root is not None:
        source.report(source.root, "", f"expected a list of prompts, found {found(source.root)}")
    if source.problems:
        raise ManifestError(source.problems)
    return prompts


def read_prompt_list(reader: Reader, node: ListNode, key: str) -> tuple[Prompt, ...]:
    """The prompts of a list of strings or {prompt:, category:}; problems go to the reader."""
    prompts: dict[str, int] = {}
    kept = []
    for i, item in enumerate(node.items):
        here = f"{key}[{i}]"
        entry = reader.read(item, str | PromptEntry, here)
        at: Node = item.values.get("prompt", item) if isinstance(item, MapNode) else item
        if entry is BAD or reader.bad(at):
            continue
        prompt = Prompt(entry) if isinstance(entry, str) else Prompt(entry.prompt, entry.category)
        trouble = problem_of(prompt.text) or _repeated(prompt.text, prompts)
        if trouble:
            reader.report(at, here, trouble)
        elif any(unicodedata.category(character) == "Cc" for character in prompt.category):
            reader.report(item, f"{here}.category", "the category has a control character or a line break")
        prompts.setdefault(prompt.text, at.line)
        kept.append(prompt)
    if not node.items:
        reader.report(node, key, "the list of prompts is empty")
    return tuple(kept)


def _read_lines(text: str, file: str) -> tuple[Prompt, ...]:
    """A prompt a line; blank lines and lines that begin with # are skipped."""
    lines: dict[str, int] = {}
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        prompt = line.strip()
        if not prompt or prompt.startswith("#"):
            continue
        if trouble := problem_of(prompt) or _repeated(prompt, lines):
            column = len(line) - len(line.lstrip()) + 1
            problems.append(Problem(file, number, column, "", trouble))
        lines.setdefault(prompt, number)
    if not lines:
        problems.append(Problem(file, 1, 1, "", "the file has no prompts"))
    if problems:
        raise ManifestError(problems)
    return tuple(Prompt(prompt) for prompt in lines)


def _repeated(prompt: str, lines: dict[str, int]) -> str | None:
    return f"the prompt {quoted(prompt)} is the same as on line {lines[prompt]}" if prompt in lines else None


def prompts_path(spec: str, folder: Path) -> Path:
    """The path of a spec that is a file."""
    try:
        return folder / Path(spec).expanduser()
    except RuntimeError:  # ~name of a user who does not exist
        return folder / spec
