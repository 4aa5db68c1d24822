"""The key of a study: which method drew which picture. It stays in the output folder, out of participants' reach."""

from __future__ import annotations

from typing import Self

from pydantic import ValidationError

from crossinit_batch import layout
from crossinit_batch.errors import OutputError
from crossinit_batch.record import Record
from crossinit_batch.storage.publication import publishing
from crossinit_batch.storage.store import Store, json_bytes

SCHEMA = 1


class Item(Record):
    """One pair of pictures: `pictures` has the method that drew each, by file name, the methods in the plan's order."""

    identity: str
    prompt: str
    index: int
    questions: tuple[str, ...]
    pictures: dict[str, str]

    @property
    def methods(self) -> tuple[str, str]:
        first, second = self.pictures.values()
        return first, second


class Key(Record):
    """A study: its id, the run it shows, and its items by the names that answers call them by."""

    schema_number: int = SCHEMA
    study: str
    run: str
    seed: int
    items: dict[str, Item]

    @classmethod
    def read(cls, store: Store, study: str) -> Self | None:
        """The key of a study in an output folder, None where it has none; OutputError for a damaged one."""
        data = store.read(layout.study_key(study))
        if data is None:
            return None
        try:
            return cls.model_validate_json(data)
        except ValidationError:
            raise OutputError(
                f"{store}/{layout.study_key(study)} is damaged",
                "`crossinit study` with the options of the first time writes it again.",
            ) from None

    def write(self, store: Store) -> None:
        with publishing(store, f"study-key-{self.study}") as files:
            files.write(layout.study_key(self.study), json_bytes(self.model_dump(mode="json")))
