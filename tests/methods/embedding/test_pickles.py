"""Pickled embeddings: read by a child that executes nothing; all but a plain dict is one clear error."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from crossinit_batch.errors import EmbeddingError
from crossinit_batch.methods.embedding import pickles as legacy_pickle
from crossinit_batch.methods.embedding.pickles import is_pickle, read_pickle


def pickled(content: object, **options: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


class Payload:
    """An object whose pickle asks the reader to run a shell command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self.command,)


def refusal(content: object) -> str:
    """The reason for which the child would not hand this content over, found without starting one."""
    with pytest.raises(legacy_pickle._RefusedError) as caught:
        legacy_pickle._tensors_of(legacy_pickle._unpickle(pickled(content)))
    return str(caught.value)


def test_the_childs_answer_is_the_parents_result() -> None:
    v = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    content = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": v.half()},
        "name": "ada",
        "step": 320,
        "sd_checkpoint": None,
    }
    tensors, token = read_pickle(pickled(content), "ada.pt")
    assert token == "ada"
    assert list(tensors) == ["*"]
    assert torch.equal(tensors["*"], v.half())


@pytest.mark.parametrize("zipped", [True, False])
def test_a_payload_is_refused_and_never_runs(tmp_path: Path, zipped: bool) -> None:
    sentinel = tmp_path / "sentinel"
    payload = {"a": torch.ones(3), "b": Payload(f"touch {sentinel}")}
    data = pickled(payload, _use_new_zipfile_serialization=zipped)
    with pytest.raises(EmbeddingError, match=r"evil\.bin: .*it asks for (posix|nt)\.system") as caught:
        read_pickle(data, "evil.bin")
    assert caught.value.hint
    assert not sentinel.exists()
    # The payload is real: the plain reader runs it.
    torch.load(io.BytesIO(data), weights_only=False)
    assert sentinel.exists()


def test_a_big_pickle_is_refused_before_a_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(EmbeddingError, match=r"big\.pt: a pickle of \d+ bytes, more than 1048576"):
        read_pickle(pickled({"a": torch.zeros(1 << 18)}), "big.pt")


def test_a_slow_pickle_is_given_up() -> None:
    with pytest.raises(EmbeddingError, match=r"slow\.pt: reading this pickle took more than 0\.01 s"):
        read_pickle(pickled({"a": torch.ones(3)}), "slow.pt", seconds=0.01)


def test_a_child_that_dies_is_an_error_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    script = "import sys; sys.stderr.write('first\\n\\x1b[31mlast words\\n'); sys.exit(9)"
    monkeypatch.setattr(subprocess, "run", lambda _, **rest: run([sys.executable, "-c", script], **rest))
    with pytest.raises(EmbeddingError, match=r"a\.pt: .*failed \(exit status 9, \[31mlast words\)"):
        read_pickle(b"\x80\x02", "a.pt")


def test_a_child_that_lies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda _, **rest: run([sys.executable, "-c", "print('hi')"], **rest))
    with pytest.raises(EmbeddingError, match=r"a\.pt: cut short"):
        read_pickle(b"\x80\x02", "a.pt")


def test_the_child_sees_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    environment = legacy_pickle._subprocess_environment()
    assert "hunter2" not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's limits")
def test_the_child_cannot_fill_memory_or_files(tmp_path: Path) -> None:
    script = f"""
import signal
from crossinit_batch.methods.embedding.pickles import _limit_subprocess
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_limit_subprocess()
try:
    bytearray(2 << 30)
except MemoryError:
    print("no memory")
try:
    open({str(tmp_path / "file")!r}, "wb", buffering=0).write(b"x")
except OSError:
    print("no file")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n") == ["no memory", "no file", ""]


def test_both_of_torchs_containers_and_parameters_are_read() -> None:
    for zipped in (True, False):
        data = pickled({"<ada>": torch.nn.Parameter(torch.ones(3))}, _use_new_zipfile_serialization=zipped)
        assert is_pickle(data)
        tensors, token = legacy_pickle._tensors_of(legacy_pickle._unpickle(data))
        assert token == ""
        assert tensors["<ada>"].tolist() == [1, 1, 1] and not tensors["<ada>"].requires_grad


REFUSED = {
    "list": ([torch.ones(3)], "holds a list, not a dict"),
    "tensor": (torch.ones(3), "holds a Tensor, not a dict"),
    "number key": ({0: torch.ones(3)}, "an entry is called 0, which is not text"),
    "text": ({"a": "b"}, "its entry 'a' is a str, not a tensor"),
    "nested": ({"a": {"b": torch.ones(3)}}, "its entry 'a' is a dict, not a tensor"),
    "integers": ({"a": torch.ones(3, dtype=torch.int64)}, "not a dense tensor of floating-point"),
    "sparse": ({"a": torch.eye(3).to_sparse()}, "not a dense tensor"),
    "meta": ({"a": torch.ones(3, device="meta")}, "not a dense tensor"),
    "scalar": ({"a": torch.tensor(1.0)}, r"its entry 'a' has the shape ()"),
    "three axes": ({"a": torch.ones(1, 2, 3)}, "its entry 'a' has the shape (1, 2, 3)"),
    "claimed size": ({"a": torch.ones(1, 1).expand(1 << 30, 4)}, "has the shape (1073741824, 4)"),
    "many": ({str(i): torch.ones(1) for i in range(300)}, "300 entries: a model"),
    "string_to_param": ({"string_to_param": [torch.ones(3)]}, "its string_to_param is a list"),
    "parameter dict": (
        {"string_to_param": torch.nn.ParameterDict({"*": torch.ones(3)})},
        "it asks for torch.nn.modules.container.ParameterDict",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_plain_dict_of_tensors_is_refused(case: str) -> None:
    content, reason = REFUSED[case]
    assert reason in refusal(content)


@pytest.mark.parametrize("data", [b"PK\x03\x04" + b"x" * 100, pickled({"a": torch.ones(3)})[:-60], b"\x80\x02"])
def test_a_broken_pickle_is_refused_in_one_line(data: bytes) -> None:
    assert is_pickle(data)
    with pytest.raises(legacy_pickle._RefusedError) as caught:
        legacy_pickle._unpickle(data)
    assert "is broken" in str(caught.value) and "\n" not in str(caught.value)


def test_every_pickle_protocol_that_torch_writes_is_recognised() -> None:
    assert all(is_pickle(pickle.dumps({"a": 1}, protocol)) for protocol in range(2, 6))
    assert not is_pickle(b"") and not is_pickle(b'{"a": 1}')
