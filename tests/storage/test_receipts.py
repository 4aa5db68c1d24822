from __future__ import annotations

import json
from typing import Any

import pytest

from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.storage.receipts import SCHEMA, Receipt, ReceiptFile, read_receipt, write_receipt
from crossinit_batch.storage.store import Store, StoredFile

NAME = "paper/ada/receipt.json"


@pytest.fixture
def store() -> Store:
    store = Store("memory://receipts/out")
    store.remove(NAME)
    return store


def a_receipt(**more: Any) -> Receipt:
    facts: dict[str, Any] = {
        "kind": "embedding",
        "method": "paper",
        "identity": "ada",
        "digest": "d" * 64,
        "files": {EMBEDDING_FILE: ReceiptFile(size=3, sha256="a" * 64)},
        "facts": {"norm": [0.5]},
        "run": {"seconds": 1.5},
    }
    return Receipt(**{**facts, **more})


def test_a_receipt_is_read_as_it_was_written(store: Store) -> None:
    receipt = a_receipt()
    write_receipt(store, NAME, receipt)
    assert read_receipt(store, NAME) == receipt
    assert receipt.files[EMBEDDING_FILE].stored == StoredFile(3, "a" * 64)


def test_a_receipt_is_json_for_people_and_other_programs(store: Store) -> None:
    write_receipt(store, NAME, a_receipt())
    value = json.loads(store.read(NAME) or b"")
    assert value["receipt"] == SCHEMA
    assert value["files"] == {EMBEDDING_FILE: {"size": 3, "sha256": "a" * 64}}


def test_no_receipt_reads_as_none(store: Store) -> None:
    assert read_receipt(store, NAME) is None


def spoiled(**changes: Any) -> bytes:
    value = {**a_receipt().model_dump(mode="json", exclude_none=True), **changes}
    return json.dumps({key: item for key, item in value.items() if item is not None}).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(spoiled()[:-20], id="truncated"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\x89PNG\r\n", id="not-json"),
        pytest.param(spoiled(receipt=SCHEMA + 1), id="newer-schema"),
        pytest.param(spoiled(digest=None), id="no-digest"),
        pytest.param(spoiled(files={}), id="no-file"),
        pytest.param(spoiled(files={EMBEDDING_FILE: {"size": "big", "sha256": "a"}}), id="wrong-type"),
        pytest.param(
            spoiled(files={name: {"size": 3, "sha256": "a"} for name in (EMBEDDING_FILE, "../../../etc/passwd")}),
            id="leaves-the-folder",
        ),
        pytest.param(spoiled(kind="soup"), id="unknown-kind"),
        pytest.param(spoiled(surprise=1), id="unknown-key"),
    ],
)
def test_a_receipt_that_is_not_understood_reads_as_none(store: Store, data: bytes) -> None:
    store.write(NAME, spoiled())
    assert read_receipt(store, NAME) is not None
    store.write(NAME, data)
    assert read_receipt(store, NAME) is None


@pytest.mark.parametrize(("old", "new"), [(b"0.5", b"0.4"), (b"1.5", b"7.5"), (b"ddd", b"dcd")])
def test_a_flipped_digit_is_noticed(store: Store, old: bytes, new: bytes) -> None:
    write_receipt(store, NAME, a_receipt())
    data = store.read(NAME) or b""
    assert old in data
    store.write(NAME, data.replace(old, new, 1))
    assert read_receipt(store, NAME) is None


def test_not_a_number_is_never_written(store: Store) -> None:
    with pytest.raises(ValueError, match=r"JSON compliant"):
        write_receipt(store, NAME, a_receipt(facts={"loss_last_10": float("nan")}))
    assert store.read(NAME) is None
