"""The gallery's page: what is in it, and that no text becomes an element."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from crossinit_batch.prompts import Prompt
from crossinit_batch.report.gallery import Gallery, GalleryMethod, Person, Picture, gallery_page
from crossinit_batch.report.html import content_hash
from tests.helpers.galleries import HOSTILE, gallery, hostile_gallery


class Parsed(HTMLParser):
    """The page's elements and text as a browser would have them, as far as these tests ask."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.raw:
            self.raw[self._inside][-1] += data
        else:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.raw["script"][0])

    def href(self, person: int, prompt: int, method: int, at: int) -> str | None:
        """The path of a picture, put together from the data as the script does it."""
        data = self.data
        start = 3 * ((person * len(data["prompts"]) + prompt) * len(data["methods"]) + method)
        parent, leaf, series = data["cells"][start : start + 3]
        if series < 0:
            return None
        file = next(entry[0] for entry in data["series"][series] if entry[2] == at)
        return data["parents"][parent] + data["leaves"][leaf] + file


def test_hostile_text_makes_no_element() -> None:
    harmless, hostile = Parsed(gallery_page(gallery())), Parsed(gallery_page(hostile_gallery()))
    assert len(hostile.named("script")) == len(harmless.named("script")) == 2
    assert not [attributes for _, attributes in hostile.elements if any(name.startswith("on") for name in attributes)]
    assert [image.get("id") for image in hostile.named("img")] == ["full"]
    assert len(hostile.named("b")) == len(harmless.named("b"))
    assert len(hostile.named("i")) == len(HOSTILE)
    for text in HOSTILE:
        assert text in hostile.text


def test_data_comes_back_as_it_was() -> None:
    made = hostile_gallery()
    data = Parsed(gallery_page(made)).data
    assert [person[0] for person in data["people"]] == list(HOSTILE)
    assert data["prompts"] == [prompt.text for prompt in made.prompts]
    assert data["methods"] == [["<b>m</b>", "<i>s</i>"]]
    block = re.search(r'id="data">(.*?)</script>', gallery_page(made), re.DOTALL)
    assert block is not None and not set("<>&") & set(block[1])


def test_paths_are_quoted_and_cannot_name_a_scheme() -> None:
    page = Parsed(gallery_page(hostile_gallery()))
    assert page.href(2, 1, 0, 0) == "../m/p%202%23%25%3F%22%3Cb%3E/1/javascript%3Ax.png"
    assert all(re.fullmatch(r"[A-Za-z0-9/._~%-]+", source) for _, source in page.data["people"])
    one = Gallery("t", "m", "s", (GalleryMethod("a"),), (Person("p"),), (Prompt("{}"),), {})
    scheme = replace(one, pictures={("a", "p", 0): (Picture("javascript:alert(1)", 1, 0),)})
    assert Parsed(gallery_page(scheme)).href(0, 0, 0, 0) == "javascript%3Aalert%281%29"


@pytest.mark.parametrize("path", ["/etc/a.png", "//evil.example/a.png"])
def test_paths_that_are_not_relative_are_refused(path: str) -> None:
    one = Gallery("t", "m", "s", (GalleryMethod("a"),), (Person("p"),), (Prompt("{}"),), {})
    with pytest.raises(ValueError, match="not relative"):
        gallery_page(replace(one, pictures={("a", "p", 0): (Picture(path, 1, 0),)}))
    with pytest.raises(ValueError, match="not relative"):
        gallery_page(replace(one, people=(Person("p", path),)))


def test_every_picture_is_found_again() -> None:
    made = gallery(people=3, prompts=7, methods=3, pictures=4)
    page = Parsed(gallery_page(made))
    for (method, person, prompt), pictures in made.pictures.items():
        where = int(person[-1]), prompt, int(method[-1])
        assert [page.href(*where, at) for at in range(4)] == [picture.href for picture in pictures]
    assert page.data["positions"] == [[0, 1000], [1, 1001], [2, 1002], [3, 1003]]
    assert page.data["groups"] == [5, 2]


def test_missing_and_uneven_pictures() -> None:
    made = gallery(people=1, prompts=2, methods=1, pictures=3)
    first, second = made.pictures.values()
    scattered = (replace(first[0], href="a/x.png"), replace(first[2], href="b/y.png", seed=5))
    page = Parsed(gallery_page(replace(made, pictures={("method-0", "person-0", 0): scattered})))
    assert page.href(0, 0, 0, 0) == "a/x.png" and page.href(0, 0, 0, 1) == "b/y.png"
    assert page.href(0, 1, 0, 0) is None and len(second) == 3
    assert page.data["positions"] == [[0, 1000], [2, 5]]


def test_a_seed_too_large_for_javascript_keeps_its_digits() -> None:
    made = gallery(people=1, prompts=1, methods=1, pictures=1)
    big = 2**64 - 1
    pictures = {key: (replace(series[0], seed=big),) for key, series in made.pictures.items()}
    data = Parsed(gallery_page(replace(made, pictures=pictures))).data
    assert data["series"][0][0][1] == data["positions"][0][1] == str(big)


def test_policy_allows_exactly_the_inline_style_and_script() -> None:
    pages = [Parsed(gallery_page(made)) for made in (gallery(), hostile_gallery())]
    for page in pages:
        policy = next(meta["content"] for meta in page.named("meta") if "http-equiv" in meta)
        parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert parts["default-src"] == "'none'"
        assert parts["script-src"] == f"'{content_hash(page.raw['script'][1])}'"
        assert parts["style-src"] == f"'{content_hash(page.raw['style'][0])}'"
        assert not [tag for tag, attributes in page.elements if "style" in attributes]
    assert pages[0].raw["script"][1] == pages[1].raw["script"][1]


def test_page_refers_to_nothing_outside() -> None:
    page = gallery_page(gallery())
    assert not re.search(r"https?:|//|@import|url\(|type=.?module", page)


def test_names_that_are_not_utf8_can_be_written() -> None:
    made = replace(gallery(people=1), people=(Person("a\udcff", "sources/\udcff.png"),), title="\udcff")
    page = gallery_page(made)
    page.encode("utf-8")
    assert Parsed(page).data["people"][0][1] == "sources/%FF.png"


def test_nothing_drawn_yet() -> None:
    assert "There are no pictures yet." in gallery_page(Gallery("t", "m", "s", (), (), (), {}))


def test_a_large_run_stays_a_small_page() -> None:
    page = gallery_page(gallery(people=200, prompts=20, methods=3, pictures=4))
    assert len(page) < 200_000
