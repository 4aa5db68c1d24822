"""The gallery as a person sees and uses it, in a browser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import chromium
from tests.helpers.galleries import HOSTILE, gallery, hostile_gallery, write


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
