"""Pictures are saved while others are drawn: formats, order, errors and interruptions."""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from crossinit_batch import layout
from crossinit_batch.errors import Interrupted
from crossinit_batch.events import DenoiseStepDone, ImagesDone, JobFailed
from crossinit_batch.images.encode import read_facts
from crossinit_batch.report.verify import verify
from crossinit_batch.storage.receipts import read_receipt
from crossinit_batch.worker import draw as pictures
from crossinit_batch.worker import save as picture_saver
from tests.end_to_end.small_run import Recorder, SmallRun, failed, work_done
from tests.helpers.tree import tree_of

FOLDER = "quick/ada/images"


@pytest.fixture
def quick_run(small: SmallRun) -> SmallRun:
    """Four people, one method, one picture of each of two prompts, one picture a group."""
    small.values["methods"] = small.values["methods"][1:]
    small.values["compute"]["images_per_batch"] = 1
    return small


@pytest.mark.parametrize(("kind", "suffix"), [("webp", ".webp"), ("jpeg", ".jpg")])
def test_pictures_of_another_format_are_whole_and_shown(quick_run: SmallRun, kind: str, suffix: str) -> None:
    quick_run.values["render"].update(format=kind, quality=80, guidance_until=0.5)
    result, record = quick_run.run()
    assert result.exit_code == 0 and work_done(record) == (4, 8)
    files = [name for name in quick_run.store.listing() if "/images/0" in name]
    assert len(files) == 8 and all(name.endswith(suffix) for name in files)
    facts = read_facts(quick_run.store.read(f"{FOLDER}/01-a-person-on-the-beach/000{suffix}") or b"")
    assert (facts.prompt, facts.guidance_until) == ("a <ada> person on the beach", 0.5)
    with Image.open(Path(quick_run.output) / files[0]) as picture:
        assert picture.format == kind.upper() and picture.size == (64, 64)
    page = (quick_run.store.read(layout.GALLERY) or b"").decode()
    assert f'"000{suffix}"' in page and ".png" not in re.sub(r"gallery/sources/[^\"]*", "", page)
    assert "guidance 7.5 in the first 1 of them" in page
    assert verify(quick_run.store).findings == () and verify(quick_run.store).files == 4 * 2 + 8 + 9
    _, record = quick_run.run()
    assert work_done(record) == (0, 0)


def test_another_format_replaces_the_pictures(quick_run: SmallRun) -> None:
    quick_run.run()
    before = tree_of(quick_run.store)
    quick_run.values["render"]["format"] = "webp"
    _, record = quick_run.run()
    assert work_done(record) == (0, 8)
    assert not [name for name in quick_run.store.listing() if name.endswith(".png")]
    assert verify(quick_run.store).findings == ()
    del quick_run.values["render"]["format"]
    quick_run.run()
    assert tree_of(quick_run.store) == before


def test_no_receipt_lists_a_picture_before_it_stands(quick_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    store_picture = picture_saver.PictureSaver._store
    early = []

    def slow(self: picture_saver.PictureSaver, picture: picture_saver.DrawnPicture, encoded: Any) -> Any:
        time.sleep(0.02)
        receipt = read_receipt(self.context.store, f"{layout.images_folder(*picture.planned.job.key)}/receipt.json")
        if receipt is not None and picture.planned.name in receipt.files:
            early.append(picture.planned)
        return store_picture(self, picture, encoded)

    monkeypatch.setattr(picture_saver.PictureSaver, "_store", slow)
    result, record = quick_run.run()
    assert result.exit_code == 0 and early == []
    assert len(record.of(ImagesDone)) == 8
    assert verify(quick_run.store).findings == ()


def test_saving_and_drawing_go_on_side_by_side_within_bounds(
    quick_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saving stands still until three groups are drawn; drawing stands still after that until saving goes on."""
    drawn, saved, together = 0, 0, []
    encode, denoise = picture_saver.encode_picture, pictures.denoise
    third = threading.Event()

    def draw(*arguments: Any) -> Any:
        nonlocal drawn
        latents = denoise(*arguments)
        drawn += 1
        together.append(drawn - saved)
        if drawn == 3:
            third.set()
        return latents

    def save(*arguments: Any) -> bytes:
        nonlocal saved
        assert third.wait(30), "drawing waited for saving"
        data = encode(*arguments)
        saved += 1
        return data

    quick_run.values["compute"]["identities_per_batch"] = 4
    monkeypatch.setattr(pictures, "denoise", draw)
    monkeypatch.setattr(picture_saver, "encode_picture", save)
    quick_run.run()
    assert drawn == saved == 8 and max(together) == 3


def test_a_picture_that_cannot_be_written_fails_its_job_and_keeps_what_stands(
    quick_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = picture_saver.encode_picture

    def full(pixels: Any, facts: Any, *form: Any) -> bytes:
        if facts.identity == "bob":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return encode(pixels, facts, *form)

    with monkeypatch.context() as patch:
        patch.setattr(picture_saver, "encode_picture", full)
        result, record = quick_run.run()
    assert result.exit_code == 1
    assert failed(record) == [("quick", "bob", "render")]
    assert work_done(record) == (4, 6)
    assert "no space left" in record.of(JobFailed)[0].reason
    assert verify(quick_run.store).findings == ()
    _, record = quick_run.resume()
    assert work_done(record) == (0, 2)
    whole = quick_run.at("whole")
    whole.run()
    assert {**tree_of(whole.store), layout.MANIFEST: ""} == {**tree_of(quick_run.store), layout.MANIFEST: ""}


def test_a_stop_waits_for_what_was_drawn(quick_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = picture_saver.encode_picture

    def slow(*arguments: Any) -> bytes:
        time.sleep(0.1)
        return encode(*arguments)

    monkeypatch.setattr(picture_saver, "encode_picture", slow)
    record = Recorder(when=lambda event, number: isinstance(event, DenoiseStepDone) and number == 2)
    with pytest.raises(Interrupted):
        quick_run.run(record)
    assert record.stop.signal == signal.SIGTERM
    assert len(record.of(ImagesDone)) == 1
    receipt = read_receipt(quick_run.store, f"{FOLDER}/{layout.RECEIPT_FILE}")
    assert receipt is not None and list(receipt.files) == ["00-a-photo-of-a-person/000.png"]
    assert not [thread.name for thread in threading.enumerate() if "picture" in thread.name]
