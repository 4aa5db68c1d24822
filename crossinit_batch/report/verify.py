"""Re-hash everything in an output folder against its receipts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from crossinit_batch import layout
from crossinit_batch.digest import canonical, sha256
from crossinit_batch.errors import OutputError, RefusedFile
from crossinit_batch.plan.frozen import DamagedPlan, read_plan
from crossinit_batch.storage.publication import forget_published, published_files
from crossinit_batch.storage.reading import LINK
from crossinit_batch.storage.receipts import read_receipt, write_receipt
from crossinit_batch.storage.store import Store


@dataclass(frozen=True)
class Finding:
    """A file that is not as its receipt says, or a receipt, or the plan, that is damaged itself."""

    name: str
    problem: str

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link, which no repair removes."""
        return self.problem == LINK


@dataclass(frozen=True)
class Verification:
    """How many files were checked, what is wrong, and the digest of all names and contents of results.

    Two folders with the same digest hold the same results, wherever and by however many workers they were made.
    `unlisted` are files that no receipt lists, which cannot be checked; `matching` counts the checked files that are as
    their receipts say.
    """

    files: int
    findings: tuple[Finding, ...]
    digest: str
    unlisted: tuple[str, ...] = ()
    matching: int = 0


def verify(store: Store, on_file: Callable[[int, int], None] = lambda _done, _all: None) -> Verification:
    """Read every file that a receipt lists, and the plan; `on_file(done, all)` after each.

    Links, pipes and the like are findings wherever they are; nothing is read through them.
    """
    sizes, unfit = store.listing(), _unfit(store)
    results: dict[str, str] = {}
    pages: dict[str, str] = {}
    expected_sizes: dict[str, int] = {}
    findings = [Finding(name, problem) for name, problem in unfit.items()]
    findings += [finding for finding in _problems_of_plan(store) if finding.name not in unfit]
    for name in sizes:
        if name.startswith(f"{layout.PUBLICATIONS}/"):
            found, listed, folder = published_files(store, name), pages, None
        elif _is_receipt(name):
            receipt = read_receipt(store, name)
            found, listed, folder = receipt.files if receipt else None, results, PurePosixPath(name).parent
        else:
            continue
        if found is None:
            findings.append(Finding(name, "the receipt is damaged"))
            continue
        names = {(f"{folder}/{file}" if folder else file): facts for file, facts in found.items()}
        listed |= {name: facts.sha256 for name, facts in names.items()}
        expected_sizes |= {name: facts.size for name, facts in names.items()}
    everything = {**pages, **results}
    for done, (name, expected) in enumerate(sorted(everything.items()), start=1):
        if name not in unfit and (problem := _problem_of(store, name, sizes, expected_sizes[name], expected)):
            findings.append(Finding(name, problem))
        on_file(done, len(everything))
    unlisted = tuple(name for name in sizes if name not in everything and not _needs_no_receipt(name))
    matching = len(everything.keys() - {finding.name for finding in findings})
    return Verification(len(everything), tuple(findings), sha256(canonical(results)), unlisted, matching)


def _unfit(store: Store) -> dict[str, str]:
    """What is never read, with what it is; a pipe that was set aside is out of the way, a link is not."""
    found = store.unfit().items()
    return {name: what for name, what in found if what == LINK or not name.startswith(f"{layout.ASIDE}/")}


def _problem_of(store: Store, name: str, sizes: Mapping[str, int], size: int, digest: str) -> str | None:
    """What is wrong with a file that a receipt lists; one of another size is not read."""
    if name not in sizes:
        return "missing"
    try:
        data = store.read(name) if sizes[name] == size else b""
    except RefusedFile:  # one that is too large, or was replaced meanwhile
        return "cannot be read"
    if data is None:
        return "missing"
    return None if len(data) == size and sha256(data) == digest else "its content is not what its receipt says"


def repair(store: Store, findings: tuple[Finding, ...]) -> None:
    """Set aside what does not match its receipt, so that `resume` makes it again; a damaged plan is kept.

    Links stay too, since they may lead anywhere. Receipts then list existing files only: a lost file that the manifest
    no longer asks for is never made again.
    """
    lost = {finding.name for finding in findings} - {layout.PLAN}
    for name in sorted(lost):
        with contextlib.suppress(RefusedFile):  # a link, or what lies behind one
            store.set_aside(name)
    above = {f"{folder}/{layout.RECEIPT_FILE}" for name in lost for folder in PurePosixPath(name).parents}
    for name in store.listing() if lost else ():
        if name.startswith(f"{layout.PUBLICATIONS}/"):
            forget_published(store, name, lost)
        elif name in above:
            _forget(store, name, lost)


def _forget(store: Store, name: str, lost: set[str]) -> None:
    """Remove lost files from a receipt; one whose files are only valid together is set aside itself."""
    receipt, folder = read_receipt(store, name), PurePosixPath(name).parent
    if receipt is None:
        return
    own = {file for file in receipt.files if f"{folder}/{file}" in lost}
    if own and receipt.kind == "images" and own != receipt.files.keys():
        write_receipt(store, name, receipt.without(own))
    elif own:
        store.set_aside(name)


def _is_receipt(name: str) -> bool:
    return PurePosixPath(name).name == layout.RECEIPT_FILE and not name.startswith(f"{layout.STATE}/")


def _needs_no_receipt(name: str) -> bool:
    """Whether a file belongs in no receipt: receipts, the plan, and a run's own state."""
    return _is_receipt(name) or name == layout.PLAN or name.startswith(f"{layout.STATE}/")


def _problems_of_plan(store: Store) -> list[Finding]:
    """The plan contains its own checksum, as runs rely on it before any of them has ended."""
    try:
        read_plan(store)
    except (DamagedPlan, RefusedFile):
        return [Finding(layout.PLAN, "the plan is damaged")]
    except OutputError:  # of another version: not ours to judge
        return []
    return []
