"""The gallery of a run as one HTML page: data in, text out.

The page opens from disk or from a bucket and asks for nothing but pictures: style, script and data are
inside it, and its Content-Security-Policy allows the two by their hashes and nothing else. A big run has
hundreds of thousands of pictures, so the data repeats no path: folders and series of files are tables,
a cell is three numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any
from urllib.parse import quote

from crossinit_batch.prompts import SLOT, Prompt
from crossinit_batch.report.html import page_template, script_data, whole_text

_LARGEST_EXACT = 2**53 - 1  # JavaScript's numbers are doubles; a larger seed is written as text


@dataclass(frozen=True)
class Picture:
    """One drawn picture: path relative to gallery/index.html (not URL-quoted), seed, and index from 0."""

    href: str
    seed: int
    index: int


@dataclass(frozen=True)
class Person:
    """One identity; `source` is the path of its photograph's thumbnail, None where it is not to be shown."""

    id: str
    source: str | None = None


@dataclass(frozen=True)
class GalleryMethod:
    """A method's name and its settings in one line."""

    name: str
    summary: str = ""


@dataclass(frozen=True)
class Gallery:
    """All that the page shows; `pictures` is keyed by (method name, person id, prompt number from 0)."""

    title: str
    model: str
    settings: str
    methods: tuple[GalleryMethod, ...]
    people: tuple[Person, ...]
    prompts: tuple[Prompt, ...]
    pictures: Mapping[tuple[str, str, int], tuple[Picture, ...]]
    failures: tuple[str, ...] = ()


def gallery_page(gallery: Gallery) -> str:
    """The whole page as text, to be written as UTF-8; ValueError for a picture path that is not relative."""
    page = page_template(__package__, "gallery").render(
        gallery=gallery,
        groups=_groups(gallery.prompts),
        columns=[prompt.text.partition(SLOT) for prompt in gallery.prompts],
        count=sum(len(pictures) for pictures in gallery.pictures.values()),
        positions=len(_positions(gallery)),
        data=script_data(_data(gallery)),
    )
    return whole_text(page)


def _groups(prompts: Sequence[Prompt]) -> list[tuple[str, int]]:
    """Neighbouring prompts of one category, as (category, how many)."""
    return [(category, sum(1 for _ in group)) for category, group in groupby(prompts, lambda prompt: prompt.category)]


def _positions(gallery: Gallery) -> list[tuple[int, int | None]]:
    """Every picture index in order, with its seed where all pictures of that index share one."""
    seeds: dict[int, set[int]] = {}
    for pictures in gallery.pictures.values():
        for picture in pictures:
            seeds.setdefault(picture.index, set()).add(picture.seed)
    return [(index, next(iter(seeds[index])) if len(seeds[index]) == 1 else None) for index in sorted(seeds)]


class _Table:
    """Distinct values in the order they were first seen, each known by its number."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def values(self) -> list[Any]:
        return list(self._numbers)


def _data(gallery: Gallery) -> dict[str, Any]:
    """What the script needs; `cells` has (parent, leaf, series) by person, prompt, then method."""
    positions = _positions(gallery)
    position_of = {index: position for position, (index, _) in enumerate(positions)}
    parents, leaves, series = _Table(), _Table(), _Table()
    cells: list[int] = []
    for person in gallery.people:
        for number in range(len(gallery.prompts)):
            for method in gallery.methods:
                pictures = gallery.pictures.get((method.name, person.id, number), ())
                if not pictures:
                    cells += (-1, -1, -1)
                    continue
                folder, files = _folder_and_files([picture.href for picture in pictures])
                parent, leaf = _parent_and_leaf(folder)
                entries = tuple(
                    (_quoted(file), _exact(picture.seed), position_of[picture.index])
                    for file, picture in zip(files, pictures, strict=True)
                )
                cells += (
                    parents.number(_quoted(parent)),
                    leaves.number(_quoted(leaf)),
                    series.number(entries),
                )
    return {
        "methods": [[method.name, method.summary] for method in gallery.methods],
        "people": [
            [person.id, None if person.source is None else _relative(person.source)] for person in gallery.people
        ],
        "prompts": [prompt.text for prompt in gallery.prompts],
        "groups": [size for _, size in _groups(gallery.prompts)],
        "positions": [(index, None if seed is None else _exact(seed)) for index, seed in positions],
        "parents": parents.values(),
        "leaves": leaves.values(),
        "series": series.values(),
        "cells": cells,
    }


def _folder_and_files(hrefs: Sequence[str]) -> tuple[str, list[str]]:
    """The folder that all of a cell's pictures share, with its slash, and what follows it."""
    for href in hrefs:
        if href.startswith("/"):
            raise ValueError(f"the picture path {href!r} is not relative to gallery/index.html")
    folders = {href[: href.rfind("/") + 1] for href in hrefs}
    folder = folders.pop() if len(folders) == 1 else ""
    return folder, [href[len(folder) :] for href in hrefs]


def _parent_and_leaf(folder: str) -> tuple[str, str]:
    """a/b/c/ as (a/b/, c/): every person has the same leaves, so both tables stay short."""
    cut = folder.rstrip("/").rfind("/") + 1
    return folder[:cut], folder[cut:]


def _relative(href: str) -> str:
    folder, files = _folder_and_files([href])
    return _quoted(folder + files[0])


@cache
def _quoted(path: str) -> str:
    """A path as a URL reference; a colon is quoted too, so that no path can name a scheme."""
    return quote(path, safe="/", errors="surrogateescape")


def _exact(seed: int) -> int | str:
    return seed if abs(seed) <= _LARGEST_EXACT else str(seed)
