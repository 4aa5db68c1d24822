"""The content of an output folder, so that two runs can be compared byte for byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath

from crossinit_batch import layout, record
from crossinit_batch.record import verified
from crossinit_batch.storage.store import Store

_OF_A_RUN = frozenset({layout.REPORT, layout.REPORT_PAGE, layout.PLAN})
"""Files that hold times and how the last run cut its work up; locks and what shards say of themselves are others.

Receipts of pages say again what the pages are, and are left out with them.
"""
_FOLDERS_OF_A_RUN = (f"{layout.SHARDS}/", f"{layout.PUBLICATIONS}/")


def tree_of(store: Store) -> dict[str, str]:
    """The SHA-256 of every file by its name; receipts without their `run` part and their record."""
    return {name: _content(store, name) for name in store.listing() if not _is_of_a_run(name)}


def _is_of_a_run(name: str) -> bool:
    return name in _OF_A_RUN or name.endswith(".lock") or name.startswith(_FOLDERS_OF_A_RUN)


def _content(store: Store, name: str) -> str:
    data = store.read(name)
    assert data is not None, name
    if PurePosixPath(name).name == layout.RECEIPT_FILE:
        facts = json.loads(data)
        assert verified(facts) is not None, name
        assert facts.pop("run")["seconds"] >= 0 and facts.pop(record.CHECKSUM)
        data = json.dumps(facts, sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()
