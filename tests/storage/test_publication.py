from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.storage.publication import is_published, published_files, publishing
from crossinit_batch.storage.store import Store

NAME = layout.publication("gallery")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    with publishing(store, "gallery") as pages:
        pages.write("gallery/a", b"one")
        pages.write("gallery/b", b"two")
    return store


def test_the_receipt_lists_what_was_written(store: Store) -> None:
    assert set(published_files(store, NAME) or ()) == {"gallery/a", "gallery/b"}
    assert is_published(store, "gallery", "gallery/a")
    assert not is_published(store, "gallery", "gallery/c") and not is_published(store, "other", "gallery/a")


def test_there_is_no_receipt_while_files_change_and_none_where_that_is_cut(store: Store) -> None:
    with pytest.raises(RuntimeError), publishing(store, "gallery") as pages:
        assert store.read(NAME) is None
        pages.write("gallery/a", b"other")
        raise RuntimeError
    assert store.read(NAME) is None


def test_what_stands_as_it_was_is_kept_and_what_was_damaged_is_not(store: Store) -> None:
    store.write("gallery/b", b"2wo")
    with publishing(store, "gallery") as pages:
        assert pages.keep("gallery/a")
        assert not pages.keep("gallery/b") and not pages.keep("gallery/c")
    assert set(published_files(store, NAME) or ()) == {"gallery/a"}


def test_a_group_without_files_has_no_receipt(store: Store) -> None:
    with publishing(store, "gallery"):
        pass
    assert published_files(store, NAME) is None and NAME not in store.listing()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"receipt": 2, "kind": "published", "files": {}}',
        b'{"receipt": 1, "kind": "published", "files": {"../x": {"size": 1, "sha256": "0"}}}',
    ],
)
def test_a_receipt_that_is_not_understood_lists_nothing(store: Store, text: bytes) -> None:
    store.write(NAME, text)
    assert published_files(store, NAME) is None
    assert not is_published(store, "gallery", "gallery/a")
