"""Random histories of one output folder: runs, kills, edits, deletions, damage, second runs, in any order.

At any time: what is visible is whole, the same digest means the same bytes, and no secret stands anywhere. In the end:
no temporary file, and the tree of the last manifest.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from crossinit_batch import layout
from crossinit_batch.methods.embedding.method import EMBEDDING_FILE
from crossinit_batch.report.verify import repair, verify
from crossinit_batch.storage.receipts import read_receipt
from tests.end_to_end.small_run import SmallRun, small_values
from tests.faults.warm import Ended, Warm
from tests.helpers.picture_samples import picture_bytes
from tests.helpers.tree import tree_of

SECRETS = {"AWS_SECRET_ACCESS_KEY": "hush-hush-aws", "HF_TOKEN": "hush-hush-hub"}


def histories(warm: Warm, model: Path) -> type[RuleBasedStateMachine]:
    """The machine, with a warm process to run commands in."""
    trees: dict[str, dict[str, str]] = {}

    class Histories(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = Path(tempfile.mkdtemp(prefix="crossinit-history-"))
            (self.folder / "photos").mkdir()
            for number, name in enumerate(("ada", "bob")):
                (self.folder / f"photos/{name}.png").write_bytes(picture_bytes(number))
            values: dict[str, Any] = small_values(model, ("ada", "bob"))
            values["methods"] = [{"name": "quick", "use": "cross-init-fast", "steps": 2, "batch_size": 1}]
            values["compute"] = {"identities_per_batch": 1, "images_per_batch": 1, "checkpoint_every": 1}
            values["render"] = {"images_per_prompt": 1, "steps": 1}
            self.small = SmallRun(self.folder, values)
            self.damaged: set[str] = set()
            self.contents: dict[str, str] = {}

        def teardown(self) -> None:
            if self.small.store.listing():
                self.end()
            shutil.rmtree(self.folder)

        def command(self, *args: str, kill_after: float | None = None) -> Ended:
            ended = warm.run(*args, "--device", "cpu", environment=SECRETS, kill_after=kill_after)
            assert "Traceback" not in ended.text and "hush-hush" not in ended.text, ended.text
            return ended

        @rule()
        def run(self) -> None:
            ended = self.command("run", str(self.small.save()))
            assert ended.code == 0 or (ended.code == 1 and self.damaged), ended.text

        @rule(after=st.floats(0.02, 0.6))
        def kill(self, after: float) -> None:
            self.command("run", str(self.small.save()), kill_after=after)

        @rule()
        def resume(self) -> None:
            ended = self.command("resume", self.small.output)
            assert ended.code in (0, 2) or (ended.code == 1 and self.damaged), ended.text

        @rule(key=st.sampled_from(["seed", "guidance", "prompts", "people"]))
        def edit(self, key: str) -> None:
            values = self.small.values
            if key == "seed":
                values["seed"] = 1 - values.get("seed", 0)
            elif key == "guidance":
                values["render"]["guidance"] = 10 - values["render"].get("guidance", 7)
            elif key == "prompts":
                values["prompts"] = (
                    values["prompts"][::-1] if len(values["prompts"]) > 2 else [*values["prompts"], "a {}"]
                )
            else:
                values["identities"] = values["identities"][::-1]

        @rule(which=st.integers(0, 1000), how=st.sampled_from(["delete", "flip", "cut", "empty"]))
        def damage(self, which: int, how: str) -> None:
            names = [n for n in self.small.store.listing() if n.startswith(("quick/", layout.CHECKPOINTS, layout.PLAN))]
            if not names:
                return
            path = Path(self.small.output) / names[which % len(names)]
            data = path.read_bytes()
            changes: dict[str, Callable[[], Any]] = {
                "delete": path.unlink,
                "flip": lambda: path.write_bytes(data[:-1] + bytes([data[-1] ^ 1])) if data else None,
                "cut": lambda: path.write_bytes(data[: len(data) // 2]),
                "empty": lambda: path.write_bytes(b""),
            }
            changes[how]()
            self.damaged.add(names[which % len(names)])

        @rule()
        def second_run(self) -> None:
            manifest = str(self.small.save())
            before = self.small.store.listing()
            with self.small.store.locked():
                ended = self.command("run", manifest)
                assert ended.code == 2 and "in use by process" in ended.text, ended.text
            assert {**before, layout.LOCK: 0} == {**self.small.store.listing(), layout.LOCK: 0}

        @invariant()
        def what_is_visible_is_whole(self) -> None:
            found = {finding.name for finding in verify(self.small.store).findings}
            assert found <= self.damaged

        @invariant()
        def a_digest_means_its_content(self) -> None:
            store = self.small.store
            for name in store.listing():
                receipt = read_receipt(store, name) if name.endswith(layout.RECEIPT_FILE) else None
                if receipt is None or name in self.damaged:
                    continue
                own = receipt.digest if receipt.kind == "embedding" else ""
                for file, facts in receipt.files.items():
                    key = facts.digest or f"{own} {file}"
                    assert self.contents.setdefault(key, facts.sha256) == facts.sha256, (name, file)

        @invariant()
        def no_secret_is_written(self) -> None:
            for path in self.folder.rglob("*"):
                assert not path.is_file() or b"hush-hush" not in path.read_bytes(), path

        def end(self) -> None:
            """Whatever was, `verify --repair` and one run make it as the manifest says."""
            repair(self.small.store, verify(self.small.store).findings)
            manifest = self.small.save()
            for _ in range(2):
                ended = self.command("run", str(manifest))
                assert ended.code == 0, ended.text
            store = self.small.store
            assert not [path for path in Path(self.small.output).rglob("*") if ".tmp-" in path.name]
            assert not [name for name in store.listing() if name.startswith(layout.CHECKPOINTS)]
            assert verify(store).findings == ()
            text = manifest.read_text()
            if text not in trees:
                fresh = self.small.at("fresh")
                assert self.command("run", str(fresh.save())).code == 0
                trees[text] = results(tree_of(fresh.store))
            assert trees[text].items() <= results(tree_of(store)).items()

    return Histories


def results(tree: dict[str, str]) -> dict[str, str]:
    """Embeddings and pictures; a folder's receipts may list more, of other prompts that were asked for before."""
    return {name: content for name, content in tree.items() if name.endswith((EMBEDDING_FILE, ".csv", ".png"))}


QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def test_any_history_ends_in_the_tree_of_its_manifest(warm: Warm, pipeline_folder: Path) -> None:
    profile = settings(
        max_examples=4, stateful_step_count=8, deadline=None, suppress_health_check=QUIET, derandomize=True
    )
    run_state_machine_as_test(histories(warm, pipeline_folder), settings=profile)


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
def test_many_histories(warm: Warm, pipeline_folder: Path) -> None:
    profile = settings(max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(histories(warm, pipeline_folder), settings=profile)
