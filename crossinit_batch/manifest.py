"""YAML → typed Manifest; every error at once, with file:line:column and "did you mean"."""

from __future__ import annotations

import importlib.util
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from crossinit_batch.errors import ManifestError
from crossinit_batch.layout import RESERVED_NAMES
from crossinit_batch.manifest_schema import (
    BAD,
    ID_PATTERN,
    METHOD_PATTERN,
    IdentityEntry,
    ManifestFile,
    ManifestHead,
    MethodEntry,
    Reader,
    suggestion,
    unknown,
)
from crossinit_batch.methods import PRESETS, Method
from crossinit_batch.prompt_file import problem_of_spec, prompts_path, read_prompt_file, read_prompt_list
from crossinit_batch.prompts import PROMPT_SETS, Prompt
from crossinit_batch.redact import redact_urls
from crossinit_batch.settings import (
    ComputeSettings,
    EmbeddingSettings,
    InitSettings,
    ModelSettings,
    RenderSettings,
)
from crossinit_batch.yaml_source import ListNode, MapNode, Node, parse, read_text, shown


@dataclass(frozen=True)
class Identity:
    """A person: the id as written (or made from a file's stem), photographs as absolute paths or URLs."""

    id: str
    photographs: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What the user wants: all paths absolute, globs and prompt files read, presets filled in."""

    text: str
    name: str
    model: ModelSettings
    output: str
    seed: int
    identities: tuple[Identity, ...]
    methods: tuple[Method, ...]
    prompts: tuple[Prompt, ...]
    render: RenderSettings
    compute: ComputeSettings


def load_manifest(path: str | Path) -> Manifest:
    """The manifest in a file, paths relative to its folder; ManifestError with every problem at once."""
    file = str(path)
    text = read_text(Path(path), file)
    source = parse(text, file)
    if isinstance(source.root, MapNode):
        manifest = _Loader(Reader(source), source.root, Path(os.path.normpath(Path.cwd() / file))).load(text)
        if manifest is not None and not source.problems:
            return manifest
    elif source.root is not None:
        kind = "a list" if isinstance(source.root, ListNode) else "a single value"
        source.report(source.root, "", f"a manifest is a mapping with the key identities; this is {kind}")
    raise ManifestError(source.problems)


class Refused(ValueError):
    """A path or name that cannot be used; the message goes on after the value."""


class _Loader:
    """Reads one manifest; problems go to the reader."""

    def __init__(self, reader: Reader, root: MapNode, path: Path) -> None:
        self.reader, self.root, self.path, self.folder = reader, root, path, path.parent

    def load(self, text: str) -> Manifest | None:
        values, meant = self.reader.fields(self.root, ManifestFile, "")
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
            methods=self.methods(values.get("methods", ["cross-init"])),
            prompts=self.prompts(values.get("prompts", "paper")),
            render=head.render,
            compute=head.compute,
        )

    def name(self, head: ManifestHead) -> str:
        node = self.root.values.get("name")
        name: str = head.name if node else id_of(str(self.path))
        if (trouble := problem_of_id(name)) and not (node and self.reader.bad(node)):
            advice = f"the file's name {shown(self.path.name)} makes no name for the run, so write name: "
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
        if trouble := _problem_of_text(name) or ("a URL is no model" if "://" in name else None):
            self.reader.report(node, "model", f"{trouble}: give a hub id, a local folder, or demo")
            return model
        folder = Path(os.path.normpath(self.folder / _home(name)))
        if name != "demo" and _look_local(str(folder)) == "folder":
            name = str(folder)
        elif name.startswith((".", "/", "~")) or name.endswith("/"):
            self.reader.report(node, "model", f"there is no folder {shown(str(folder))}")
        return model.model_copy(update={"id": name})

    def output(self, head: ManifestHead, name: str) -> str:
        node = self.root.values.get("output")
        if node is None or self.reader.bad(node):
            return str(self.folder / "out" / name)
        try:
            output = location(head.output, self.folder)
            part = Path(output)
            while "://" not in output and part != part.parent and not part.is_dir():
                if part.exists():
                    raise Refused(f"{shown(str(part))} is a file, not a folder")
                part = part.parent
            return output
        except (Refused, OSError) as error:
            self.reader.report(node, "output", str(error))
            return ""

    def identities(self, values: Any) -> tuple[Identity, ...]:
        node = self.root.values.get("identities")
        if not isinstance(node, ListNode) or not isinstance(values, list):
            return ()
        if not values:
            self.reader.report(node, "identities", "the list is empty: name at least one picture")
        people = _People(self.reader, self.folder)
        for i, (item, entry) in enumerate(zip(node.items, values, strict=True)):
            if entry is not BAD:
                people.add(item, entry, f"identities[{i}]")
        return tuple(people.identities)

    def methods(self, values: Any) -> tuple[Method, ...]:
        node = self.root.values.get("methods")
        if not isinstance(values, list):
            return ()
        if not isinstance(node, ListNode):
            return tuple(Method(name, name, PRESETS[name]) for name in values)
        if not values:
            self.reader.report(node, "methods", "the list is empty: remove the key for [cross-init]")
        methods: list[Method] = []
        lines: dict[str, int] = {}
        for i, (item, entry) in enumerate(zip(node.items, values, strict=True)):
            if entry is BAD:
                continue
            key = f"methods[{i}]"
            name = entry if isinstance(entry, str) else entry.name
            place = item.values["name"] if isinstance(item, MapNode) else item
            if name.casefold() in lines:
                line = lines[name.casefold()]
                self.reader.report(place, key, f"the name {shown(name)} is also used on line {line}")
            lines.setdefault(name.casefold(), place.line)
            method = self.method(item, entry, key)
            if method:
                methods.append(method)
        return tuple(methods)

    def method(self, item: Node, entry: str | MethodEntry, key: str) -> Method | None:
        if isinstance(entry, str) or not isinstance(item, MapNode):
            if entry in PRESETS:
                return Method(str(entry), str(entry), PRESETS[str(entry)])
            self.reader.report(item, key, unknown(str(entry), tuple(PRESETS), "method"))
            return None
        place = item.values["name"]
        if trouble := problem_of_method_name(entry.name):
            self.reader.report(place, f"{key}.name", trouble)
        use = entry.use if entry.use is not None else entry.name
        if use not in PRESETS:
            if entry.use is not None:
                self.reader.report(item.values["use"], f"{key}.use", unknown(use, tuple(PRESETS), "preset"))
            elif "use" not in item.values:
                meant = suggestion(use, tuple(PRESETS)) or next(iter(PRESETS))
                message = f"{shown(use)} is no preset: say which one it varies, such as use: {meant}"
                self.reader.report(place, f"{key}.name", message)
            return None
        given = {word: getattr(entry, word) for word in entry.model_fields_set - {"name", "use"}}
        if "init" in given:
            given["init"] = self.init(item.values["init"], entry.init, f"{key}.init")
        settings = {word: getattr(PRESETS[use], word) for word in EmbeddingSettings.model_fields}
        return Method(entry.name, use, EmbeddingSettings.model_validate({**settings, **given}))

    def init(self, node: Node, init: InitSettings | str, key: str) -> InitSettings:
        """The initial vector's settings; a names file becomes an absolute path that can be read."""
        if isinstance(init, str):
            return InitSettings()
        if init.names is None or not isinstance(node, MapNode):
            return init
        place, names = node.values["names"], init.names
        try:
            if trouble := _problem_of_text(names):
                raise Refused(trouble)
            if "://" in names:
                raise Refused(f"{shown(names)} is a URL: a names file is a local file")
            file = Path(os.path.normpath(self.folder / _home(names)))
            if not file.is_file():
                raise Refused(f"there is no file {shown(str(file))}")
            with file.open("rb") as stream:
                stream.read(1)
            return init.model_copy(update={"names": str(file)})
        except (Refused, OSError) as error:
            self.reader.report(place, f"{key}.names", str(error))
            return init

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


# --- names ---

_ID = re.compile(ID_PATTERN[1:-1])
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def problem_of_id(text: str) -> str | None:
    """Why a text cannot be an id, and so a folder's name on every system, or None."""
    if not text:
        return "it is empty"
    if not _ID.fullmatch(text):
        return f"{shown(text)} must begin with a letter or digit and have only A-Z a-z 0-9 . _ -, 64 at most"
    if text.endswith("."):
        return f"{shown(text)} ends with a dot, which Windows folders cannot"
    if _DEVICES.fullmatch(text):
        return f"{shown(text)} is the name of a device on Windows"
    return None


def problem_of_method_name(text: str) -> str | None:
    """Why a text cannot be a method's name, and so its folder in the output, or None."""
    if (trouble := problem_of_id(text)) is not None:
        return trouble
    if not re.fullmatch(METHOD_PATTERN[1:-1], text):
        return f"{shown(text)} must be lower case: {text.lower()}"
    return f"{shown(text)} is a name that the output folder needs itself" if text in RESERVED_NAMES else None


def id_of(path: str) -> str:
    """The id that a file's name gives: its stem, other characters as hyphens; empty if nothing is left."""
    name = path.replace(os.sep, "/").rpartition("/")[2]
    stem = unicodedata.normalize("NFC", name.rpartition(".")[0] or name)
    return stem if _ID.fullmatch(stem) else re.sub(r"[^A-Za-z0-9._-]", "-", stem).lstrip("._-")


# --- places ---

_PACKAGES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "memory": ("fsspec", ""),
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CHAINED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::|.*::.*://|.*://.*::")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def location(text: str, folder: Path) -> str:
    """The absolute path or the URL that a manifest means; Refused when it cannot be used."""
    expanded = text
    if "${" in text:
        if "${" in _VARIABLE.sub("", text):
            raise Refused(f"{shown(text)} has ${{ without a variable's name and a closing }}")
        expanded = _VARIABLE.sub(_variable, text)
    if trouble := _problem_of_text(expanded):
        raise Refused(f"{shown(text)}: {trouble}" if text != expanded else trouble)
    if scheme := _SCHEME.match(expanded):
        return _url(expanded, scheme[1].lower())
    if _CHAINED.match(expanded):
        raise Refused(
            f"{shown(expanded)} is a chain of URLs (::), which is not read here: give one path or URL"
        )
    return os.path.normpath(folder / _home(expanded))


def _variable(match: re.Match[str]) -> str:
    if match[1] not in os.environ:
        raise Refused(f"the environment has no variable {match[1]}: set it, or write the path out")
    return os.environ[match[1]]


def _problem_of_text(text: str) -> str | None:
    if not text.strip():
        return "it is empty"
    if not text.isprintable() and any(unicodedata.category(one) in ("Cc", "Cs") for one in text):
        return "it has a control character or a byte that is not UTF-8"
    return None


def _home(path: str) -> str:
    try:
        return str(Path(path).expanduser()) if path.startswith("~/") else path
    except RuntimeError:  # a user without a home folder
        return path


def _url(url: str, scheme: str) -> str:
    """A URL that may be used, its scheme in lower case; a file: URL as the path it means."""
    rest = url.split("//", 1)[1]
    authority = rest.split("/", 1)[0]
    if "::" in url:
        raise Refused(f"{shown(url)} is a chain of URLs (::), which is not read here: give one path or URL")
    if scheme in ("http", "https"):
        raise Refused(f"{shown(url)} is a web address: download it first, and give the file's path")
    if scheme not in (*_PACKAGES, "file"):
        raise Refused(f"{scheme}:// is not read here; there are file, {', '.join(_PACKAGES)}")
    if ":" in authority or ("@" in authority and scheme not in ("az", "abfs")):
        raise Refused(f"{shown(url)} had credentials in it: keep them in the environment or in a profile")
    if re.search(r"\?[^/]*=", url):
        raise Refused(f"{shown(url)} had a query (?…=), which may hold a secret: give the URL without it")
    if scheme == "file":
        if authority:
            raise Refused(f"{shown(url)} has no absolute path: write file:///folder/name")
        return os.path.normpath(rest)
    if not (authority or (scheme == "memory" and rest.strip("/"))) or set(authority) & set("*?["):
        raise Refused(f"{shown(url)} names no bucket: write {scheme}://bucket/path")
    if ".." in rest.split("/"):
        raise Refused(f"{shown(url)} has .. in it: write the path out")
    package, extra = _PACKAGES[scheme]
    if importlib.util.find_spec(package) is None:
        raise Refused(f"{scheme}:// needs a package: pip install 'crossinit-batch[{extra}]'")
    return f"{scheme}://{rest.rstrip('/')}"


# --- photographs ---

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".avif", ".jxl")
_DIGITS = re.compile(r"([0-9]+)")
_FEW = 4


@dataclass
class Listings:
    """What paths are (file, folder, link to one, other), by a folder's listing if several are asked for."""

    scan: Callable[[str], dict[str, str]]
    look: Callable[[str], str | None]
    folders: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def of(self, folder: str) -> dict[str, str]:
        """Names and kinds in a folder; none where it cannot be listed."""
        if folder not in self.folders:
            self.folders[folder] = self.scan(folder)
        return self.folders[folder]

    def kind(self, path: str) -> str | None:
        """What is at a path; a name that a listing lacks is looked up, as a file system may fold its case."""
        folder, name = os.path.split(path)
        self.asked[folder] += 1
        known = self.of(folder) if folder in self.folders or self.asked[folder] > _FEW else {}
        return known.get(name) or self.look(path)


def _scan_local(folder: str) -> dict[str, str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: _kind_of_entry(entry) for entry in entries}
    except OSError:
        return {}


def _kind_of_entry(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_file():
            return "file"
        return ("link" if entry.is_symlink() else "folder") if entry.is_dir() else "other"
    except OSError:
        return "other"


def _look_local(path: str) -> str | None:
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return None
    return "file" if S_ISREG(mode) else "folder" if S_ISDIR(mode) else "other"


def _scan_url(url: str) -> dict[str, str]:
    return {
        info["name"].rstrip("/").rsplit("/", 1)[-1]: _kind_of_info(info) for info in _ask(url, "ls") or []
    }


def _look_url(url: str) -> str | None:
    info = _ask(url, "info")
    return info and _kind_of_info(info)


def _kind_of_info(info: dict[str, Any]) -> str:
    return "folder" if info["type"] == "directory" else "file"


def _ask(url: str, question: str) -> Any:
    """An answer of the URL's file system, None where nothing is; Refused with the reason when it fails."""
    import fsspec  # late: most manifests are local

    try:
        system, path = fsspec.url_to_fs(url)
        return getattr(system, question)(path, **({} if question == "info" else {"detail": True}))
    except FileNotFoundError:
        return None
    except Exception as error:  # each storage has exceptions of its own kind, and all mean the same here
        reason = redact_urls(f"{type(error).__name__}: {error}")
        raise Refused(f"{shown(url)} cannot be reached: {reason}") from error


def _glob_url(pattern: str) -> list[str]:
    """Files that match, under the URL's own scheme and bucket."""
    scheme, rest = pattern.split("://", 1)
    authority = rest.split("/", 1)[0]
    lead = 1 if scheme == "memory" and not authority else 0
    return [
        f"{scheme}://{authority}/{path.strip('/').split('/', 1 - lead)[-1]}"
        for path, info in (_ask(pattern, "glob") or {}).items()
        if info["type"] == "file" and ("/." not in path or "/." in pattern)
    ]


def _glob_local(pattern: str, listings: Listings) -> list[str]:
    """Files that match; ** is any number of folders, links not followed; names with a leading dot are out."""
    first, *middle, last = Path(pattern).parts
    if last == "**":
        middle, last = [*middle, "**"], "*"
    folders = [first]
    for part in middle:
        if part == "**":
            folders = list(dict.fromkeys(below for folder in folders for below in _tree(folder, listings)))
        elif _magic(part):
            match = _matcher(part)
            folders = [
                _join(folder, name)
                for folder in folders
                for name, kind in listings.of(folder).items()
                if kind in ("folder", "link") and match(name)
            ]
        else:
            folders = [_join(folder, part) for folder in folders]
    match = _matcher(last)
    return [
        _join(folder, name)
        for folder in folders
        for name, kind in listings.of(folder).items()
        if kind == "file" and match(name)
    ]


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip(os.sep)}{os.sep}{name}"


def _tree(folder: str, listings: Listings) -> list[str]:
    """A folder and all below it."""
    tree = [folder]
    for parent in tree:
        children = listings.of(parent).items()
        tree += [_join(parent, name) for name, kind in children if kind == "folder" and name[0] != "."]
    return tree


def _matcher(pattern: str) -> Callable[[str], bool]:
    match = re.compile(translate(pattern)).match
    return lambda name: (name[0] != "." or pattern[0] == ".") and match(name) is not None


def _magic(text: str) -> bool:
    return "*" in text or "?" in text or "[" in text


def _natural(path: str) -> tuple[list[Any], str]:
    """A key that puts face-2 before face-10."""
    parts: list[Any] = _DIGITS.split(path)
    parts[1::2] = [int(digits[:4000]) for digits in parts[1::2]]
    return parts, path


class _People:
    """Collects identities, and knows where each id came from."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        self.local = Listings(_scan_local, _look_local)
        self.remote = Listings(_scan_url, _look_url)
        self.identities: list[Identity] = []
        self.taken: dict[str, tuple[str, int, str]] = {}

    def add(self, item: Node, entry: str | IdentityEntry, key: str) -> None:
        """Add the identities of an entry."""
        images: str | list[str] = entry.images if isinstance(entry, IdentityEntry) else entry
        place, here = item, key
        if isinstance(item, MapNode):
            place, here = item.values["images"], f"{key}.images"
        files: list[str] = []
        if isinstance(images, list) and isinstance(place, ListNode):
            for i, (image, node) in enumerate(zip(images, place.items, strict=True)):
                files += self.files(image, node, f"{here}[{i}]")
        elif isinstance(images, str):
            files = self.files(images, place, here)
        limit = entry.limit if isinstance(entry, IdentityEntry) else None
        named = item.values.get("id") if isinstance(item, MapNode) else None
        if named is None:
            self.one_a_file(files[:limit], place, here)
        elif isinstance(entry, IdentityEntry) and not self.reader.bad(named):
            if trouble := problem_of_id(entry.id) or self.claim(entry.id, named.line, ""):
                self.reader.report(named, f"{key}.id", trouble)
            self.identities.append(Identity(entry.id, tuple(dict.fromkeys(files))[:limit]))

    def one_a_file(self, files: list[str], place: Node, key: str) -> None:
        troubles = []
        for file in files:
            name = id_of(file)
            trouble = problem_of_id(name)
            if trouble:
                advice = f"no id can be made of {shown(self.short(file))}" + (f": {trouble}" if name else "")
                troubles.append(f"{advice}: give id:")
            elif trouble := self.claim(name, place.line, file):
                troubles.append(trouble)
            self.identities.append(Identity(name, (file,)))
        for trouble in troubles[:5]:
            self.reader.report(place, key, trouble)
        if len(troubles) > 5:
            self.reader.report(
                place, key, f"and {len(troubles) - 5:,} more files of this entry have such problems"
            )

    def claim(self, name: str, line: int, file: str) -> str | None:
        """Take an id; what is wrong when another has it, also when only case or Unicode form differ."""
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded not in self.taken:
            self.taken[folded] = (name, line, file)
            return None
        other, at, source = self.taken[folded]
        who = f"{shown(self.short(file))} gives the id {shown(name)}" if file else f"the id {shown(name)}"
        whose = f" (from {shown(self.short(source))})" if source else ""
        same = "is also used" if other == name else f"differs only in case from {shown(other)}"
        link = ", which" if file else ""
        return f"{who}{link} {same} on line {at}{whose}: give one of them another id"

    def short(self, file: str) -> str:
        return file.removeprefix(str(self.folder) + os.sep)

    def files(self, text: str, node: Node, key: str) -> list[str]:
        """The files of a path, a pattern or a URL, a pattern's in natural order; none after a report."""
        try:
            place = location(text, self.folder)
            listings = self.remote if "://" in place else self.local
            if _magic(place) and (listings is self.remote or _look_local(place) != "file"):
                return self.matches(text, place)
            kind = listings.kind(place)
            if kind is None:
                raise Refused(f"there is no file {shown(text)}: {shown(place)}")
            if kind in ("folder", "link"):
                raise Refused(
                    f"{shown(text)} is a folder: write {shown(text.rstrip('/') + '/*.jpg')} for its pictures"
                )
            if kind == "other":
                raise Refused(f"{shown(text)} is not a regular file")
            return [place]
        except Refused as error:
            self.reader.report(node, key, str(error))
            return []

    def matches(self, text: str, pattern: str) -> list[str]:
        """The pictures that a pattern matches; Refused if none."""
        local = "://" not in pattern
        matched = _glob_local(pattern, self.local) if local else _glob_url(pattern)
        pictures = [file for file in matched if file.lower().endswith(_PICTURES)]
        if not pictures:
            base = pattern[: re.search(r"[*?\[]", pattern).start()].rpartition(os.sep)[0]  # type: ignore[union-attr]
            if matched:
                raise Refused(
                    f"{shown(text)} matches {len(matched)} files, none of them a picture by its name"
                )
            if local and _look_local(base or os.sep) != "folder":
                raise Refused(f"{shown(text)} matches nothing: there is no folder {shown(base)}")
            raise Refused(f"{shown(text)} matches no file")
        for file in pictures:
            if trouble := None if file.isascii() else _problem_of_text(file):
                raise Refused(f"the name of {shown(file)} cannot be used: {trouble}")
        return sorted(pictures, key=_natural)
