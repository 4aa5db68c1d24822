"""An embedding of an output folder and what lies beside it, read back and held against their receipt."""

from __future__ import annotations

from crossinit_batch import layout
from crossinit_batch.digest import sha256
from crossinit_batch.errors import EmbeddingError
from crossinit_batch.methods.embedding.formats import EmbeddingFile, read_embedding
from crossinit_batch.storage.receipts import Receipt
from crossinit_batch.storage.store import Store


def stored_embedding(store: Store, receipt: Receipt) -> EmbeddingFile:
    """The embedding that a receipt speaks of."""
    return read_embedding(stored_file(store, receipt, layout.EMBEDDING_FILE), f"{receipt.method}/{receipt.identity}")


def stored_file(store: Store, receipt: Receipt, file: str) -> bytes:
    """A file that an embedding's receipt names; EmbeddingError where it is not the one that was written."""
    name = f"{layout.embedding_folder(receipt.method, receipt.identity)}/{file}"
    data = store.read(name)
    if data is None or sha256(data) != receipt.files[file].sha256:
        raise EmbeddingError(
            f"{store}/{name} does not match its receipt",
            "`crossinit verify --repair` sets it aside, then `crossinit resume` makes it again.",
        )
    return data
