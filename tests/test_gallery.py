from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import chromium
import pytest
from PIL import Image

from crossinit_batch.gallery import Gallery, GalleryMethod, Person, Picture, gallery_page
from crossinit_batch.html_page import content_hash
from crossinit_batch.prompts import PROMPT_SETS, Prompt

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\"'><script>alert(2)</script>",
    "</script><script>alert(3)</script>",
    "javascript:alert(4)",
    "<!--<script>",
    "{{ 7 * 7 }} $& &lt;",
)


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    reason = chromium.missing()
    if reason:
        pytest.skip(reason)
    with chromium.chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait up to ten seconds for a condition to hold, and give its value."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited ten seconds: {what}")


class Page:
    """The gallery in a browser, by what a person sees and does."""

    def __init__(self, driver: Any, page: Path, link: str = "") -> None:
        self.driver = driver
        driver.get("about:blank")
        chromium.complaints(driver)
        driver.get(page.as_uri() + link)

    def ask(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def press(self, key: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(key).perform()

    def text(self, selector: str) -> str:
        return str(self.ask(f"document.querySelector({selector!r}).textContent"))

    def opened(self) -> str | None:
        """The prompt of the picture that is open, or None."""
        return self.text("#words") if self.ask("document.getElementById('viewer').open") else None

    def sources(self) -> list[str]:
        script = "[...document.querySelectorAll('.thumb img')].map((image) => image.getAttribute('src'))"
        return list(self.ask(script))


@pytest.mark.browser
def test_grid_methods_and_slider(browser: Any, tmp_path: Path) -> None:
    gallery(people=2, prompts=3, methods=2, pictures=3, root=tmp_path)
    page = Page(browser, tmp_path / "gallery/index.html")
    until(lambda: len(page.sources()) == 6, "six cells")
    script = "[...document.querySelectorAll('.thumb img')].every((image) => image.naturalWidth === 16)"
    until(lambda: page.ask(script), "all pictures are loaded")
    assert all("/method-0/" in f"/{source}" and source.endswith("000.png") for source in page.sources())
    page.click("#views label:nth-of-type(2)")
    assert all("/method-1/" in source for source in page.sources())
    page.ask("(at.value = 2, at.dispatchEvent(new Event('input')))")
    assert all(source.endswith("002.png") for source in page.sources())
    assert page.text("#which") == "3 of 3" and page.text("#seed-of") == "seed 1002"
    page.click("#views label:nth-of-type(3)")
    assert len(page.sources()) == 12
    until(lambda: "compare=1" in browser.current_url and "picture=2" in browser.current_url, "the address")
    assert chromium.complaints(browser) == []


@pytest.mark.browser
def test_viewer_keys_history_and_links(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    made = gallery(people=2, prompts=3, methods=2, pictures=2, root=tmp_path)
    page = Page(browser, tmp_path / "gallery/index.html")
    words = [[prompt.fill(f"<{person.id}>") for prompt in made.prompts] for person in made.people]
    until(lambda: len(page.sources()) == 6, "six cells")
    page.click("tbody tr:nth-child(1) td:nth-child(2) .thumb")
    assert page.opened() == words[0][0] and page.text("#seed") == "1000" and page.text("#index") == "0"
    assert page.ask("document.querySelector('#face img').getAttribute('src')") == "sources/person-0.png"
    for key, expected in (
        (Keys.ARROW_RIGHT, words[0][1]),
        (Keys.ARROW_DOWN, words[1][1]),
        (Keys.ARROW_LEFT, words[1][0]),
        (Keys.ARROW_LEFT, words[0][2]),
        (Keys.ARROW_UP, words[1][2]),
        (Keys.ARROW_RIGHT, words[0][0]),
    ):
        page.press(key)
        assert page.opened() == expected
    page.click("#next")
    assert page.opened() == words[0][1]
    page.click("#previous")
    page.click("#methods button:nth-child(2)")
    assert page.text("#method").startswith("method-1")
    page.click("#pictures button:nth-child(2)")
    assert page.text("#seed") == "1001"
    assert "method-1/person-0" in page.ask("full.src") and page.ask("full.src").endswith("001.png")
    until(lambda: "person=person-0" in browser.current_url and "picture=1" in browser.current_url, "the address")
    link = browser.current_url.partition("#")[2]
    page.press(Keys.ESCAPE)
    until(lambda: page.opened() is None, "Escape closes")
    assert page.ask("document.activeElement.className") == "thumb"
    page.click("tbody tr:nth-child(2) td:nth-child(3) .thumb")
    assert page.opened() == words[1][1]
    browser.back()
    until(lambda: page.opened() is None, "Back closes")
    again = Page(browser, tmp_path / "gallery/index.html", "#" + link)
    until(lambda: again.opened() == words[0][0], "the link opens the picture")
    assert again.text("#method").startswith("method-1") and again.text("#seed") == "1001"
    Page(browser, tmp_path / "gallery/index.html", "#person=nobody&prompt=99&picture=x&method=none")
    assert again.opened() is None
    assert chromium.complaints(browser) == []


@pytest.mark.browser
def test_rows_are_built_as_they_come_and_people_are_found(browser: Any, tmp_path: Path) -> None:
    gallery(people=60, prompts=1, methods=1, pictures=1, root=tmp_path)
    page = Page(browser, tmp_path / "gallery/index.html")
    until(page.sources, "the first rows")
    assert len(page.sources()) < 30
    height = page.ask("document.documentElement.scrollHeight")
    page.ask("scrollTo(0, document.documentElement.scrollHeight)")
    until(lambda: any("person-59/" in source for source in page.sources()), "the last row")
    assert page.ask("document.documentElement.scrollHeight") == height
    until(lambda: not any("person-0/" in source for source in page.sources()), "the first row is let go")
    page.driver.find_element("id", "find").send_keys("SON-57")
    until(lambda: page.ask("document.querySelectorAll('tbody tr:not([hidden])').length") == 1, "one row")
    assert page.text("#left") == "1 of 60 people"
    assert chromium.complaints(browser) == []


@pytest.mark.browser
def test_hostile_text_is_shown_as_text(browser: Any, tmp_path: Path) -> None:
    made = hostile_gallery()
    files = [picture.href for series in made.pictures.values() for picture in series]
    path = write(tmp_path, made, files + [person.source for person in made.people if person.source])
    page = Page(browser, path)
    until(lambda: page.ask("document.querySelectorAll('.thumb').length") == len(HOSTILE) ** 2, "all cells")
    loaded = "[...document.querySelectorAll('tbody img')].every((image) => image.naturalWidth || !image.complete)"
    until(lambda: page.ask(loaded), "quoted paths lead to the files")
    assert page.ask("[...document.querySelectorAll('.who-is b')].map((name) => name.textContent)") == list(HOSTILE)
    page.click("tbody tr:nth-child(1) td:nth-child(2) .thumb")
    assert page.opened() == made.prompts[0].fill(f"<{HOSTILE[0]}>")
    assert page.text("#method") == "<b>m</b><i>s</i>"
    assert page.ask("document.querySelectorAll('#method b, #method i, main script').length") == 0
    from selenium.common.exceptions import NoAlertPresentException

    with pytest.raises(NoAlertPresentException):
        _ = browser.switch_to.alert
    assert chromium.complaints(browser) == []


@pytest.mark.browser
def test_policy_stops_a_script_that_is_not_ours(browser: Any, tmp_path: Path) -> None:
    gallery(people=1, prompts=1, methods=1, pictures=1, root=tmp_path)
    path = tmp_path / "gallery/index.html"
    page = path.read_text(encoding="utf-8")
    path.write_text(page.replace("</body>", "<script>document.title = 'taken'</script></body>"), encoding="utf-8")
    Page(browser, path)
    assert browser.title == "A run"
    assert any("Content Security Policy" in line for line in chromium.complaints(browser))


@pytest.mark.browser
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 20, 3, 2)])
def test_nothing_jumps_and_the_phone_has_room(browser: Any, tmp_path: Path, shape: tuple[int, ...]) -> None:
    gallery(*shape, root=tmp_path)
    try:
        chromium.resize(browser, 400, 800)
        page = Page(browser, tmp_path / "gallery/index.html")
        until(page.sources, "cells")
        assert page.ask("document.getElementById('bar').getBoundingClientRect().width") <= 400
        assert page.ask("document.querySelector('.thumb').getBoundingClientRect().width") >= 120
        if shape[1] == 1:
            assert page.ask("document.documentElement.scrollWidth") <= 400
        else:
            page.ask("scrollTo(900, 300)")
            corner = "document.querySelector('tbody th').getBoundingClientRect().left"
            assert page.ask(corner) == 0
            assert page.ask("document.getElementById('bar').getBoundingClientRect().top") == 0
    finally:
        chromium.resize(browser, 1400, 900)
