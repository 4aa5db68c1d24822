"""The same run on every kind of storage leaves the same tree, and none of the secrets that it needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.report.verify import repair, verify
from tests.end_to_end.small_run import SmallRun, small_values, work_done
from tests.helpers.buckets import AZURE_SECRET, S3_SECRET
from tests.helpers.tree import tree_of

EMBEDDING = f"quick/ada/{EMBEDDING_FILE}"


@pytest.fixture
def small(photographs: Path, pipeline_folder: Path) -> SmallRun:
    """Two people, one method."""
    values = small_values(pipeline_folder, ("ada", "bob"))
    values["methods"] = values["methods"][1:]
    return SmallRun(photographs.parent, values)


def test_the_same_tree_on_every_storage(small: SmallRun, anywhere: str) -> None:
    small.at("near").run()
    near = {**tree_of(small.at("near").store), layout.MANIFEST: ""}
    far = small.at(f"{anywhere}/a b/é")
    if "://" in anywhere:  # a photograph from there too
        far.store.files.write(f"{far.store.root}-photos/ada.png", (small.folder / "photos/ada.png").read_bytes())
        far.values["identities"] = [f"{anywhere}/a b/é-photos/ada.png", "photos/bob.png"]
    result, record = far.run()
    assert result.exit_code == 0 and work_done(record) == (2, 4)
    assert {**tree_of(far.store), layout.MANIFEST: ""} == near
    for name in far.store.listing():
        data = far.store.read(name) or b""
        assert S3_SECRET.encode() not in data and AZURE_SECRET.encode() not in data, name
    assert not any(secret in str(record.events) for secret in (S3_SECRET, AZURE_SECRET))


def test_damage_is_found_and_made_again_on_every_storage(small: SmallRun, anywhere: str) -> None:
    run = small.at(f"{anywhere}/out")
    run.run()
    whole = tree_of(run.store)
    data = bytearray(run.store.read(EMBEDDING) or b"")
    data[-1] ^= 1
    run.store.write(EMBEDDING, bytes(data))
    picture, cut = sorted(name for name in whole if name.endswith(".png"))[:2]
    run.store.remove(picture)
    run.store.write(cut, (run.store.read(cut) or b"")[:100])
    found = verify(run.store)
    assert {finding.name for finding in found.findings} == {EMBEDDING, picture, cut}
    repair(run.store, found.findings)
    result, _ = run.resume()
    assert result.exit_code == 0
    assert {name: content for name, content in tree_of(run.store).items() if layout.ASIDE not in name} == whole
    assert verify(run.store).findings == ()
