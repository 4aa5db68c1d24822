"""Makes a study: pairs → pictures under neutral names → one page, and the key that names their methods."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.digest import digest_of, sha256
from crossinit_batch.errors import OutputError, RequestError
from crossinit_batch.messages import unknown
from crossinit_batch.plan.frozen import frozen_plan
from crossinit_batch.plan.inventory import Inventory, take_inventory
from crossinit_batch.plan.photographs import small_photograph
from crossinit_batch.plan.plan import PlannedPicture
from crossinit_batch.storage.publication import Publishing, publishing
from crossinit_batch.storage.receipts import Receipt, read_receipt
from crossinit_batch.storage.store import Store
from crossinit_batch.study.key import Item, Key
from crossinit_batch.study.page import Shown, study_page
from crossinit_batch.study.questions import Pair, choose_pairs, description_of


@dataclass(frozen=True)
class Wanted:
    """A study to make: between which methods (none for all), against which one, how many pairs."""

    methods: tuple[str, ...] = ()
    reference: str | None = None
    pairs: int = 40
    seed: int = 0


def make_study(store: Store, wanted: Wanted) -> Key:
    """Write study/index.html with its pictures, and the study's key; RequestError where nothing can be compared."""
    plan = frozen_plan(store)
    methods = _methods([method.name for method in plan.methods], wanted)
    inventory = take_inventory(store, plan)
    pairs = choose_pairs(inventory, methods, wanted.reference, wanted.pairs, wanted.seed)
    if not pairs:
        raise RequestError(
            f"{store}: no two of these methods have drawn the same person and prompt yet: {', '.join(methods)}",
            "`crossinit status` shows what is drawn so far.",
        )
    with publishing(store, "study") as pages:
        return _write_study(_Copies(pages, inventory), pairs, wanted.seed)


def _write_study(copies: _Copies, pairs: Sequence[Pair], seed: int) -> Key:
    study = digest_of("study", {"seed": seed, "pairs": [copies.digests(pair) for pair in pairs]})[:16]
    shown, items = [], {}
    for number, pair in enumerate(pairs, start=1):
        names = {copies.picture(study, one): one.job.method for one in (pair.first, pair.second)}
        source = copies.source(study, pair.first.job.identity)
        # Sorted by names that are digests, so the order of the two reveals nothing either.
        shown.append(Shown(str(number), source, description_of(pair.prompt), tuple(sorted(names)), pair.questions))
        items[str(number)] = Item(
            identity=pair.first.job.identity,
            prompt=pair.prompt.text,
            index=pair.first.index,
            questions=pair.questions,
            pictures=names,
        )
    key = Key(study=study, run=copies.inventory.plan.name, seed=seed, items=items)
    key.write(copies.store)
    copies.pages.write(layout.STUDY, study_page(study, shown).encode())
    copies.remove_others()
    return key


def _methods(planned: Sequence[str], wanted: Wanted) -> list[str]:
    """The methods to compare, in the plan's order; RequestError for one it lacks, or where there are not two."""
    named = [*wanted.methods, *([wanted.reference] if wanted.reference else [])]
    for name in named:
        if name not in planned:
            raise RequestError(f"--method or --reference: {unknown(name, tuple(planned), 'method')}")
    methods = [name for name in planned if not wanted.methods or name in named]
    if len(methods) < 2:
        raise RequestError(
            f"a study compares methods, and there is only {methods[0]}", "Add another to the manifest, or name two."
        )
    return methods


@dataclass
class _Copies:
    """Pictures and photographs of a run, copied for a study.

    Their names are digests and their pixels are saved anew: the original's path and the text in it name the method.
    """

    pages: Publishing
    inventory: Inventory
    written: set[str] = field(default_factory=set)
    receipts: dict[tuple[str, str], Receipt | None] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.pages.store

    def digests(self, pair: Pair) -> list[str]:
        """The SHA-256 of both pictures, as their receipts have it."""
        return [self._digest(one) for one in (pair.first, pair.second)]

    def picture(self, study: str, planned: PlannedPicture) -> str:
        """Copy a picture as a PNG without any text; its new name."""
        name = _neutral(study, f"{planned.job.method}/{planned.job.identity}/{planned.name}", "png")
        if name not in self.written:
            original = f"{layout.images_folder(*planned.job.key)}/{planned.name}"
            data = self.store.read(original)
            if data is None or sha256(data) != self._digest(planned):
                raise OutputError(
                    f"{self.store}/{original} does not match its receipt",
                    "`crossinit verify --repair` sets it aside, then `crossinit resume` makes it again.",
                )
            self._write(name, _pixels_alone(data))
        return name

    def source(self, study: str, identity: str) -> str | None:
        """Copy an identity's small photograph; its new name, None where there is none to show."""
        planned = self.inventory.plan.identity(identity)
        kept = planned.thumbnail
        data = (self.store.read(kept) if kept else None) or small_photograph(planned)
        if data is None:
            return None
        name = _neutral(study, f"source/{identity}", "jpg")
        if name not in self.written:
            self._write(name, data)
        return name

    def remove_others(self) -> None:
        """Remove the pictures of an earlier study; its key stays, so that its answers can still be counted."""
        kept = {layout.study_picture(name) for name in self.written}
        for name in self.store.listing():
            if name.startswith(f"{layout.STUDY_PICTURES}/") and name not in kept:
                self.store.remove(name)

    def _digest(self, planned: PlannedPicture) -> str:
        key = planned.job.key
        if key not in self.receipts:
            self.receipts[key] = read_receipt(self.store, f"{layout.images_folder(*key)}/{layout.RECEIPT_FILE}")
        receipt = self.receipts[key]
        assert receipt is not None  # the inventory has just found the picture in it
        return receipt.files[planned.name].sha256

    def _write(self, name: str, data: bytes) -> None:
        self.pages.write(layout.study_picture(name), data)
        self.written.add(name)


def _neutral(study: str, of: str, ending: str) -> str:
    return f"{sha256(f'{study}/{of}'.encode())[:20]}.{ending}"


def _pixels_alone(data: bytes) -> bytes:
    """The same pixels as a PNG that holds nothing else."""
    with Image.open(io.BytesIO(data)) as picture:
        plain = Image.fromarray(np.asarray(picture.convert("RGB")))
    file = io.BytesIO()
    plain.save(file, "PNG")
    return file.getvalue()
