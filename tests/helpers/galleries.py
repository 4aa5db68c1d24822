"""Galleries to test the page with: a regular one, and one whose every text is markup."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from crossinit_batch.prompts import PROMPT_SETS, Prompt
from crossinit_batch.report.gallery import Gallery, GalleryMethod, Person, Picture, gallery_page

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\"'><script>alert(2)</script>",
    "</script><script>alert(3)</script>",
    "javascript:alert(4)",
    "<!--<script>",
    "{{ 7 * 7 }} $& &lt;",
)


def gallery(
    people: int = 2, prompts: int = 3, methods: int = 2, pictures: int = 2, root: Path | None = None
) -> Gallery:
    """A regular gallery; with `root` its pictures are drawn there, each of a colour of its own."""
    names = [GalleryMethod(f"method-{m}", f"{m + 1} steps") for m in range(methods)]
    persons = [Person(f"person-{i}", f"sources/person-{i}.png") for i in range(people)]
    asked = PROMPT_SETS["paper"][:prompts]
    shown = {
        (method.name, person.id, n): tuple(
            Picture(f"../{method.name}/{person.id}/images/{n:02d}-{prompt.slug}/{k:03d}.png", 1000 + k, k)
            for k in range(pictures)
        )
        for method in names
        for person in persons
        for n, prompt in enumerate(asked)
    }
    made = Gallery(
        "A run", "demo", "ddim, 10 steps", tuple(names), tuple(persons), tuple(asked), shown, ("bob failed",)
    )
    if root is not None:
        files = [picture.href for series in shown.values() for picture in series]
        files += [person.source for person in persons if person.source]
        write(root, made, files)
    return made


def write(root: Path, made: Gallery, files: list[str]) -> Path:
    page = root / "gallery" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(gallery_page(made), encoding="utf-8")
    for number, file in enumerate(files):
        path = Path(f"{page.parent}/{file}".replace("/gallery/../", "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (number % 256, 90, 160)).save(path)
    return page


def hostile_gallery() -> Gallery:
    prompts = tuple(Prompt(f"{text} {{}}", category=text) for text in HOSTILE)
    people = tuple(Person(text, f"sources/{n} #%?{text.replace('/', '_')}.png") for n, text in enumerate(HOSTILE))
    pictures = {
        ("<b>m</b>", person.id, n): (Picture(f'../m/p {i}#%?"<b>/{n}/javascript:x.png', 7, 0),)
        for i, person in enumerate(people)
        for n in range(len(prompts))
    }
    method = GalleryMethod("<b>m</b>", "<i>s</i>")
    return Gallery(HOSTILE[0], HOSTILE[1], HOSTILE[2], (method,), people, prompts, pictures, HOSTILE)
