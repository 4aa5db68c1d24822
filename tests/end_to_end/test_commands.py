"""Each command's answers to good and bad requests: an exit code and a sentence, never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crossinit_batch import layout
from crossinit_batch.model.base_model import BaseModel
from crossinit_batch.storage.store import Store
from tests.end_to_end.small_run import Ask, SmallRun
from tests.helpers.tree import tree_of


@pytest.fixture
def places(tmp_path: Path, small: SmallRun, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all kinds of wrong things, and the current folder."""
    place = tmp_path / "places"
    (place / "empty").mkdir(parents=True)
    (place / "binary.yaml").write_bytes(b"\x89PNG\x00\xff")
    (place / "typo.yaml").write_text("identitys: [a.png]\n")
    (place / "method.yaml").write_text("identities: [../photos/ada.png]\nmethods: [cross-int]\n")
    (place / "model.yaml").write_text("identities: [../photos/ada.png]\nmodel: ./nowhere\n")
    (place / "hub.yaml").write_text("identities: [../photos/ada.png]\nmodel: no-such/model\n")
    (place / "damaged").mkdir()
    (place / "damaged/plan.json").write_text('{"plan": 1, "na')
    (place / "newer").mkdir()
    (place / "newer/plan.json").write_text('{"plan": 2}')
    (place / "nothing-done").mkdir()
    (place / "nothing-done/plan.json").write_text('{"plan": 1}')
    (place / "prompts.txt").write_text("a photo of nobody\n")
    monkeypatch.chdir(place)

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(BaseModel, "load", never)
    return place


RENDER = ("render", "--embeddings", "empty", "--prompts")

BAD: list[tuple[tuple[str, ...], int, str]] = [
    (("run", "missing.yaml"), 2, "missing.yaml"),
    (("run", "empty"), 2, "is a folder"),
    (("run", "binary.yaml"), 2, "binary.yaml"),
    (("run", "typo.yaml"), 2, "did you mean identities?"),
    (("run", "method.yaml"), 2, "did you mean cross-init?"),
    (("run", "model.yaml"), 2, "there is no folder"),
    (("run", "hub.yaml", "--offline"), 2, "'no-such/model' is not in the local cache"),
    (("run",), 2, "crossinit run needs a manifest"),
    (("plan", "missing.yaml"), 2, "missing.yaml"),
    (("plan", "typo.yaml"), 2, "typo.yaml:1:1"),
    (("resume", "empty"), 2, "has no plan.json"),
    (("resume", "missing"), 2, "has no plan.json"),
    (("resume", "damaged"), 2, "plan.json is damaged"),
    (("resume", "nothing-done"), 2, "plan.json is damaged at"),
    (("resume", "newer"), 2, "of schema 2, this crossinit writes 1"),
    (("resume", "typo.yaml"), 2, "has no plan.json"),
    (("resume",), 2, "no unfinished run under"),
    (("resume", "gopher://x/y"), 2, "gopher://"),
    (("status", "empty"), 2, "has no plan.json"),
    (("status", "damaged"), 2, "plan.json is damaged"),
    (("status", "newer"), 2, "of schema 2"),
    (("verify", "empty"), 2, "has no receipt"),
    (("verify", "missing"), 2, "has no receipt"),
    (("export", "empty"), 2, "is not an output folder"),
    (("analyze", "empty"), 2, "has no plan.json"),
    (("analyze", "damaged"), 2, "plan.json is damaged"),
    (("study", "empty"), 2, "has no plan.json"),
    (("study", "tally", "missing.json"), 2, "missing.json: cannot be read"),
    (("study", "tally", "typo.yaml"), 2, "typo.yaml: not a whole file of answers"),
    (("analyze", "empty", "--words", ",".join("abcdefghijklm")), 2, "--words: 13 words"),
    (("analyze", "empty", "--limit", "0"), 2, "--limit"),
    (("export", "empty", "--format", "onnx"), 2, "Choose one of: webui, diffusers"),
    ((*RENDER, "paper"), 2, "there is no such folder, or it is empty"),
    ((*RENDER, "missing.txt"), 2, "there is no prompts file"),
    ((*RENDER, "prompts.txt"), 2, "no {} in"),
    ((*RENDER, "paper", "--scheduler", "magic"), 2, "--scheduler"),
    ((*RENDER, "paper", "--size", "63"), 2, "--size"),
    (("nonsense",), 2, "No such command"),
    (("run", "--nonsense"), 2, "No such option"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD, ids=[" ".join(row[0]) for row in BAD])
def test_a_bad_request_gets_a_sentence_and_changes_nothing(
    ask: Ask, places: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = {str(path): path.read_bytes() for path in places.rglob("*") if path.is_file()}
    got, output, error = ask(*arguments)
    assert got == code, output + error
    assert words in error, error
    assert output == ""
    assert {str(path): path.read_bytes() for path in places.rglob("*") if path.is_file()} == before


def test_a_run_through_the_commands(ask: Ask, small: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = str(small.save())
    monkeypatch.chdir(small.folder)
    code, output, _ = ask("plan", manifest)
    assert code == 0 and "left to do: 8 embeddings (32 samples forward and backward), 16 pictures" in output
    assert not Path(small.output).exists()

    code, output, error = ask("run", manifest, "--device", "cpu")
    assert code == 0 and f"Gallery: {small.output}/gallery/index.html" in output
    assert "paper" in output and "8" in output
    assert "small" in error  # progress is told on stderr

    code, output, _ = ask("plan", manifest, "--json")
    facts = json.loads(output)
    assert facts["work"].keys() >= {"embeddings", "pictures", "optimisation_samples", "denoising_samples", "judgements"}
    assert set(facts["work"].values()) == {0}

    code, output, _ = ask("status", small.output, "--json")
    assert code == 0 and json.loads(output)["finished"] is True

    code, output, _ = ask("verify", small.output)
    assert code == 0 and "41 of 41 files match their receipts" in output

    code, _, error = ask("resume", small.output, "--device", "cpu")
    assert code == 0
    code, _, error = ask("resume")
    assert code == 2 and "no unfinished run under" in error


def test_json_output_is_one_object_a_line(ask: Ask, small: SmallRun) -> None:
    small.values["methods"] = small.values["methods"][1:]
    code, output, error = ask("run", str(small.save()), "--device", "cpu", "--json")
    assert code == 0 and error == ""
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert events[0] == "run-started" and events[-1] == "run-finished"
    assert events.count("embedding-done") == 4


def test_damage_is_shown_set_aside_and_mended(ask: Ask, finished: SmallRun) -> None:
    whole = tree_of(finished.store)
    picture = Path(finished.output) / "quick/ada/images/00-a-photo-of-a-person/000.png"
    data = bytearray(picture.read_bytes())
    data[50] ^= 1
    picture.write_bytes(data)
    code, output, _ = ask("verify", finished.output)
    assert code == 1
    assert "000.png: its content is not what its receipt says" in output and "40 of 41" in output
    code, output, _ = ask("verify", finished.output, "--repair")
    assert code == 1 and "crossinit resume" in output and not picture.exists()
    code, _, error = ask("resume", finished.output, "--device", "cpu")
    assert code == 0, error
    assert ask("verify", finished.output)[0] == 0
    after = tree_of(finished.store)
    aside = {name for name in after if name.startswith(layout.ASIDE)}
    assert len(aside) == 1 and {name: after[name] for name in after.keys() - aside} == whole


def test_failures_end_with_one_and_are_listed(ask: Ask, small: SmallRun) -> None:
    (small.folder / "photos/bob.png").write_bytes(b"<html>")
    small.values["methods"] = small.values["methods"][1:]
    code, output, error = ask("run", str(small.save()), "--device", "cpu")
    assert code == 1 and "bob" in output and "bob.png" in error
    code, output, _ = ask("status", small.output)
    assert code == 0 and "quick/bob:" in output and "`crossinit resume` goes on." in output


def test_the_latest_unfinished_run_is_resumed(ask: Ask, small: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    small.values.update(output="out/small", methods=small.values["methods"][1:])
    ask("run", str(small.save()), "--device", "cpu", "--quiet")
    (Path(small.output) / "quick/ada/receipt.json").unlink()
    (small.folder / "out/damaged").mkdir()
    (small.folder / "out/damaged/plan.json").write_text("{")
    monkeypatch.chdir(small.folder)
    code, output, error = ask("resume", "--device", "cpu")
    assert code == 0, error
    assert f"{small.output}/gallery" in output


def test_no_secret_of_the_environment_is_written(ask: Ask, small: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "s3cr3t" * 5)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "k3y" * 9)
    small.values["methods"] = small.values["methods"][1:]
    _, output, error = ask("run", str(small.save()), "--device", "cpu", "--json")
    texts = [output.encode(), error.encode()]
    texts += [path.read_bytes() for path in Path(small.output).rglob("*") if path.is_file()]
    assert not any(secret in text for text in texts for secret in (b"s3cr3t", b"k3yk3y"))


@pytest.mark.parametrize("arguments", [("schema",), ("status",), ("plan",), ("verify",)])
@pytest.mark.parametrize("how", ["closed", "pipe"])
def test_a_closed_stdout_keeps_the_exit_code(finished: SmallRun, arguments: tuple[str, ...], how: str) -> None:
    finished.save()
    place = {"plan": str(finished.manifest)}.get(arguments[0], finished.output)
    more = () if arguments[0] == "schema" else (place,)
    command = [sys.executable, "-m", "crossinit_batch", *arguments, *more]
    if how == "closed":
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, timeout=60
        )
    else:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
        os.close(writing)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_folder_that_cannot_be_read_is_a_sentence(
    ask: Ask, finished: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Store, _name: str, *_limit: int) -> bytes:
        raise PermissionError(13, "Permission denied", "/out/plan.json")

    monkeypatch.setattr(Store, "read", refuse)
    code, _, error = ask("status", finished.output)
    assert code == 1 and error.strip() == "/out/plan.json: Permission denied"


def test_run_without_a_manifest_says_how_to_start_and_that_works(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, error = ask("run")
    assert code == 2 and "needs a manifest" in error
    faces, init, run = re.findall(r"^ +crossinit (.*)$", error, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    assert ask(*faces.split())[0] == 0 and ask(*init.split())[0] == 0
    assert run.split()[0] == "run"
    code, output, _ = ask("plan", *run.split()[1:])
    assert code == 0 and "4 embeddings" in output
