"""Re-hash everything in an output folder against its receipts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from crossinit_batch import layout
from crossinit_batch.digest import canonical, sha256
from crossinit_batch.errors import OutputError
from crossinit_batch.plan.frozen import DamagedPlan, read_plan
from crossinit_batch.storage.publication import forget_published, published_files
from crossinit_batch.storage.receipts import read_receipt, write_receipt
from crossinit_batch.storage.store import Store


@dataclass(frozen=True)
class Finding:
    """A file that is not as its receipt says, or a receipt, or the plan, that is damaged itself."""

    name: str
    problem: str

    @property
    def is_of_content(self) -> bool:
        """Whether a receipt lists the file."""
        return not _needs_no_receipt(self.name)


@dataclass(frozen=True)
class Verification:
    """How many files were checked, what is wrong, and the digest of all names and contents of results.

    Two folders with the same digest hold the same results, wherever and by however many workers they were made.
    `unlisted` are files that no receipt lists, which cannot be checked.
    """

    files: int
    findings: tuple[Finding, ...]
    digest: str
    unlisted: tuple[str, ...] = ()


def verify(store: Store, on_file: Callable[[int, int], None] = lambda _done, _all: None) -> Verification:
    """Read every file that a receipt lists, and the plan; `on_file(done, all)` after each."""
    sizes = store.listing()
    results: dict[str, str] = {}
    pages: dict[str, str] = {}
    findings = _problems_of_plan(store)
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
        listed |= {(f"{folder}/{file}" if folder else file): facts.sha256 for file, facts in found.items()}
    everything = {**pages, **results}
    for done, (name, expected) in enumerate(sorted(everything.items()), start=1):
        data = store.read(name) if name in sizes else None
        if data is None:
            findings.append(Finding(name, "missing"))
        elif sha256(data) != expected:
            findings.append(Finding(name, "its content is not what its receipt says"))
        on_file(done, len(everything))
    unlisted = tuple(name for name in sizes if name not in everything and not _needs_no_receipt(name))
    return Verification(len(everything), tuple(findings), sha256(canonical(results)), unlisted)


def repair(store: Store, findings: tuple[Finding, ...]) -> None:
    """Set aside what does not match its receipt, so that `resume` makes it again; a damaged plan is kept.

    Receipts then list existing files only: a lost file that the manifest no longer asks for is never made again.
    """
    lost = {finding.name for finding in findings} - {layout.PLAN}
    for name in sorted(lost):
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
    except DamagedPlan:
        return [Finding(layout.PLAN, "the plan is damaged")]
    except OutputError:  # of another version: not ours to judge
        return []
    return []
