"""Writing the gallery of an output folder: the page, small copies of the sources, and a contact sheet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from crossinit_batch import layout
from crossinit_batch.digest import image_seed
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.photographs import small_photograph
from crossinit_batch.plan.plan import Plan, PlannedIdentity
from crossinit_batch.prompts import SLOT
from crossinit_batch.report.gallery import Gallery, GalleryMethod, Person, Picture, gallery_page
from crossinit_batch.storage.publication import Publishing, publishing
from crossinit_batch.storage.store import Store

_SHEET_ROWS, _SHEET_CELL = 12, 128


def write_gallery(store: Store, inventory: Inventory, failures: Sequence[JobFailed]) -> None:
    """Write gallery/index.html, a small copy of each source photograph, and a contact sheet of the first identities."""
    with publishing(store, "gallery") as pages:
        _write_gallery(pages, inventory, failures)


def _write_gallery(pages: Publishing, inventory: Inventory, failures: Sequence[JobFailed]) -> None:
    plan = inventory.plan
    sources = {identity.id: source_thumbnail(pages, identity) for identity in plan.identities}
    page = gallery_page(
        Gallery(
            title=plan.name,
            model=plan.model.label,
            settings=render_summary(plan),
            methods=tuple(GalleryMethod(method.name, method.summary) for method in plan.methods),
            people=tuple(Person(identity, source) for identity, source in sources.items()),
            prompts=plan.prompts,
            pictures=_pictures(inventory),
            failures=tuple(f"{failure.identity} ({failure.method}): {failure.reason}" for failure in failures),
        )
    )
    pages.write(layout.GALLERY, page.encode())
    sheet = _contact_sheet(pages.store, inventory, sources)
    if sheet is not None:
        pages.write(layout.CONTACT_SHEET, sheet)


def _contact_sheet(store: Store, inventory: Inventory, sources: Mapping[str, str | None]) -> bytes | None:
    """The first identities by every method, one picture a prompt, as a JPEG; None where no picture is there yet."""
    from PIL import Image

    from crossinit_batch.report.contact_sheet import contact_sheet

    plan = inventory.plan
    methods = [method.name for method in plan.methods]
    identities = list(dict.fromkeys(job.identity for job in plan.jobs))[: max(1, _SHEET_ROWS // len(methods))]
    states = [inventory.states[method, identity] for identity in identities for method in methods
              if (method, identity) in inventory.states]  # fmt: skip
    if not any(state.pictures for state in states):
        return None

    def opened(name: str | None) -> Image.Image | None:
        data = store.read(name) if name else None
        try:
            return Image.open(io.BytesIO(data)).convert("RGB") if data else None
        except OSError:  # damaged since it was stored: `verify` reports it
            return None

    rows = []
    for state in states:
        source = sources.get(state.job.identity)
        folder = layout.images_folder(*state.job.key)
        first = {picture.number: picture.name for picture in plan.pictures(state.job) if picture.index == 0}
        names = [f"{folder}/{name}" if name in state.pictures else None for name in first.values()]
        cells = [opened(f"gallery/{source}" if source else None), *map(opened, names)]
        rows.append((f"{state.job.identity} {state.job.method}", cells))
    headings = [prompt.text.replace(SLOT, "S*") for prompt in plan.prompts]  # the paper's sign for the person
    sheet = contact_sheet(rows, ["source", *headings], cell=_SHEET_CELL)
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=90)
    return file.getvalue()


def render_summary(plan: Plan) -> str:
    """How pictures were drawn, in one line."""
    return f"{plan.render.summary}, seed {plan.seed}"


def source_thumbnail(pages: Publishing, identity: PlannedIdentity) -> str | None:
    """The small copy of an identity's first photograph, relative to gallery/, made where it is not there.

    None where that fails.
    """
    name = identity.thumbnail
    if name is None:
        return None
    if not pages.keep(name):
        data = small_photograph(identity)
        if data is None:
            return None
        pages.write(name, data)
    return name.removeprefix("gallery/")


def _pictures(inventory: Inventory) -> dict[tuple[str, str, int], tuple[Picture, ...]]:
    """The stored pictures of every cell of the gallery."""
    plan = inventory.plan
    cells: dict[tuple[str, str, int], list[Picture]] = {}
    for state in inventory.states.values():
        folder = layout.images_folder(*state.job.key)
        for picture in plan.pictures(state.job):
            if picture.name in state.pictures:
                seed = image_seed(plan.seed, picture.prompt.text, picture.index)
                cell = cells.setdefault((*state.job.key, picture.number), [])
                cell.append(Picture(f"../{folder}/{picture.name}", seed, picture.index))
    return {key: tuple(pictures) for key, pictures in cells.items()}
