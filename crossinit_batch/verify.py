"""Re-hash everything in an output folder against its receipts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from crossinit_batch import layout
from crossinit_batch.digest import canonical, sha256
from crossinit_batch.receipts import read_receipt
from crossinit_batch.store import Store


@dataclass(frozen=True)
class Finding:
    """A file that is not as its receipt says."""

    name: str
    problem: str


@dataclass(frozen=True)
class Verification:
    """How many files were checked, what is wrong, and the digest of all names and contents that receipts list.

    Two folders with the same digest hold the same results, wherever and by however many workers they were made.
    """

    files: int
    findings: tuple[Finding, ...]
    digest: str


def verify(store: Store, on_file: Callable[[int, int], None] = lambda _done, _all: None) -> Verification:
    """Read every file that a receipt lists; `on_file(done, all)` after each."""
    sizes = store.listing()
    listed: dict[str, str] = {}
    findings = []
    for name in sizes:
        if PurePosixPath(name).name != layout.RECEIPT_FILE or name.startswith("_state/"):
            continue
        receipt = read_receipt(store, name)
        if receipt is None:
            findings.append(Finding(name, "the receipt is damaged"))
            continue
        folder = PurePosixPath(name).parent
        listed |= {f"{folder}/{file}": facts.sha256 for file, facts in receipt.files.items()}
    for done, (name, expected) in enumerate(sorted(listed.items()), start=1):
        data = store.read(name) if name in sizes else None
        if data is None:
            findings.append(Finding(name, "missing"))
        elif sha256(data) != expected:
            findings.append(Finding(name, "its content is not what its receipt says"))
        on_file(done, len(listed))
    return Verification(len(listed), tuple(findings), sha256(canonical(listed)))


def repair(store: Store, findings: tuple[Finding, ...]) -> None:
    """Set aside what does not match its receipt, so that `resume` makes it again."""
    for finding in findings:
        store.set_aside(finding.name)
