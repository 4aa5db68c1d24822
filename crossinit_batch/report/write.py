"""What a finished run shows: the gallery and the report, read from the store alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from statistics import median

from crossinit_batch import __version__, layout
from crossinit_batch.console.tables import Outcome
from crossinit_batch.digest import image_seed, sha256
from crossinit_batch.events import JobFailed
from crossinit_batch.plan.inventory import Inventory
from crossinit_batch.plan.plan import Plan, PlannedIdentity
from crossinit_batch.prompts import SLOT
from crossinit_batch.report.gallery import Gallery, GalleryMethod, Person, Picture, gallery_page
from crossinit_batch.report.markdown_text import plain
from crossinit_batch.report.scores.write import write_scores
from crossinit_batch.storage.publication import Publishing, publishing
from crossinit_batch.storage.store import Store, read_source

_THUMBNAIL_SIDE = 512
_SHEET_ROWS, _SHEET_CELL = 12, 128


def outcomes(inventory: Inventory, failures: Sequence[JobFailed]) -> list[Outcome]:
    """What came of each method."""
    rows = []
    for method in inventory.plan.methods:
        states = [state for state in inventory.states.values() if state.job.method == method.name]
        seconds = [state.seconds for state in states if state.has_embedding and state.seconds is not None]
        failed = {failure.identity for failure in failures if failure.method == method.name}
        rows.append(
            Outcome(
                method=method.name,
                embeddings_done=sum(state.has_embedding for state in states),
                embeddings_failed=sum(state.job.identity in failed and not state.has_embedding for state in states),
                embeddings_total=len(states),
                images_done=sum(len(state.pictures) for state in states),
                images_total=len(states) * inventory.plan.pictures_a_job,
                median_seconds=median(seconds) if seconds else None,
            )
        )
    return rows


def write_gallery(store: Store, inventory: Inventory, failures: Sequence[JobFailed]) -> None:
    """Write gallery/index.html, a small copy of each source photograph, and a contact sheet of the first people."""
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
    """The first people by every method, one picture a prompt, as a JPEG; None where no picture is there yet."""
    from PIL import Image

    from crossinit_batch.report.contact_sheet import contact_sheet

    plan = inventory.plan
    methods = [method.name for method in plan.methods]
    people = list(dict.fromkeys(job.identity for job in plan.jobs))[: max(1, _SHEET_ROWS // len(methods))]
    states = [inventory.states[method, person] for person in people for method in methods
              if (method, person) in inventory.states]  # fmt: skip
    if not any(state.pictures for state in states):
        return None

    def opened(name: str | None) -> Image.Image | None:
        data = store.read(name) if name else None
        try:
            return Image.open(io.BytesIO(data)).convert("RGB") if data else None
        except OSError:  # damaged since it was stored: `verify` tells
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
    name = thumbnail_name(identity)
    if name is None:
        return None
    if not pages.keep(name):
        data = small_photograph(identity)
        if data is None:
            return None
        pages.write(name, data)
    return name.removeprefix("gallery/")


def thumbnail_name(identity: PlannedIdentity) -> str | None:
    """Where that copy stands; None for an identity without a photograph that could be read when it was planned."""
    if not identity.photographs or identity.photographs[0].problem:
        return None
    return layout.source_thumbnail(identity.id, identity.photographs[0].sha256)


def small_photograph(identity: PlannedIdentity) -> bytes | None:
    """A small copy of an identity's first photograph as a JPEG; None where it cannot be made."""
    from crossinit_batch.errors import PhotographError
    from crossinit_batch.images.photograph import open_photograph, thumbnail

    if not identity.photographs or identity.photographs[0].problem:
        return None
    photograph = identity.photographs[0]
    try:
        data = read_source(photograph.path)
        if sha256(data) != photograph.sha256:
            return None
        image = open_photograph(data, photograph.path)
    except (OSError, PhotographError):
        return None
    return thumbnail(image, _THUMBNAIL_SIDE)


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


def write_report(store: Store, inventory: Inventory, failures: Sequence[JobFailed], facts: dict[str, object]) -> None:
    """Write report.md: what was asked, what came out, how good it is, how long it took, what failed.

    Where pictures are scored, also scores.csv, summary.csv and report.html.
    """
    scored = write_scores(store, inventory, outcomes(inventory, failures), failures)
    with publishing(store, "report") as pages:
        pages.write(layout.REPORT, report_text(inventory, failures, facts, scored).encode())


def report_text(
    inventory: Inventory, failures: Sequence[JobFailed], facts: dict[str, object], scored: Sequence[str] = ()
) -> str:
    """The report as Markdown; `facts` are further lines about this run, label to value, `scored` those on scores."""
    plan = inventory.plan
    revision = f" at {plan.model.revision}" if plan.model.revision else ""
    lines = [
        f"# {plain(plan.name)}",
        "",
        f"- Base model: {plain(plan.model.label)}{revision}, fingerprint `{plan.model.fingerprint[:16]}`, "
        f"U-Net in {plan.model.dtype}",
        f"- Pictures: {len(plan.prompts)} prompts x {plan.render.images_per_prompt}; {render_summary(plan)}",
        f"- Identities: {len(plan.identities) or len({job.identity for job in plan.jobs})}",
        *(f"- {label}: {plain(str(value))}" for label, value in facts.items()),
        f"- Made with crossinit {__version__}; the pictures: [gallery](gallery/index.html)",
        "",
        "| method | settings | embeddings | failed | pictures | median s an embedding |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in outcomes(inventory, failures):
        seconds = "" if row.median_seconds is None else f"{row.median_seconds:.1f}"
        lines.append(
            f"| {row.method} | {plan.method(row.method).summary} | {row.embeddings_done} of {row.embeddings_total} "
            f"| {row.embeddings_failed} | {row.images_done} of {row.images_total} | {seconds} |"
        )
    lines += scored
    if failures:
        lines += [
            "",
            "## Failures",
            "",
            "| identity | method | stage | reason | what to do |",
            "|---|---|---|---|---|",
        ]
        for failure in failures:
            cells = (failure.identity, failure.method, failure.stage, failure.reason, failure.hint)
            lines.append(f"| {' | '.join(plain(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"
