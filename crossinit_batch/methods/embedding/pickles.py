"""Tensors out of a pickled embedding file (.pt, .bin), unpickled by a short-lived process of its own.

PyTorch's `weights_only` reader builds nothing but tensors and plain containers, yet it has been bypassed
twice (CVE-2025-32434, CVE-2026-24747). So it runs in a subprocess without the parent's environment variables,
that cannot write to files, has limits on its memory and its time, and answers with safetensors.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import torch

from crossinit_batch.errors import EmbeddingError
from crossinit_batch.storage.tensor_file import TensorFileError, dump_tensors, load_tensors

MAX_PICKLE_BYTES = 1 << 20
_MAX_NUMBERS = 75 * 8192
_MAX_TENSORS = 256
_ANSWER_BYTES = 16 << 20
_REFUSED = 3
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")
_HINT = "Ask whoever made it for a safetensors file."


class _RefusedError(Exception):
    """Why the subprocess refuses a pickle's content, as a message for the user."""


def is_pickle(data: bytes) -> bool:
    """Whether bytes begin like those of `torch.save`: a zip archive, or a bare pickle of protocol 2 to 5."""
    return data[:4] == b"PK\x03\x04" or (data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))


def read_pickle(data: bytes, name: str, *, seconds: float = 60.0) -> tuple[dict[str, torch.Tensor], str | None]:
    """The tensors of a pickled dict, and the token an A1111 file names; `name` is the file's, for messages.

    Only a dict of floating-point tensors with one or two axes is taken, or A1111's `string_to_param` of such.
    Raises EmbeddingError for everything else; nothing the file asks for is executed.
    """
    if len(data) > MAX_PICKLE_BYTES:
        raise EmbeddingError(f"{name}: a pickle of {len(data)} bytes, more than {MAX_PICKLE_BYTES}", _HINT)
    try:
        process = subprocess.run(
            [sys.executable, "-P", "-m", "crossinit_batch.methods.embedding.pickles"],
            input=data,
            capture_output=True,
            timeout=seconds,
            env=_subprocess_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise EmbeddingError(f"{name}: reading this pickle took more than {seconds:g} s", _HINT) from error
    last_line = _printable(process.stderr.strip().rpartition(b"\n")[2])
    if process.returncode == _REFUSED:
        raise EmbeddingError(f"{name}: {last_line}", _HINT)
    if process.returncode != 0 or len(process.stdout) > _ANSWER_BYTES:
        detail = f"exit status {process.returncode}" + (f", {last_line}" if last_line else "")
        raise EmbeddingError(f"{name}: the process reading this pickle failed ({detail})", _HINT)
    try:
        tensors, metadata = load_tensors(process.stdout, name)
    except TensorFileError as error:
        raise EmbeddingError(error.message, _HINT) from error
    return tensors, metadata.get("token")


def _subprocess_environment() -> dict[str, str]:
    """Enough to import PyTorch on the CPU, and none of the parent's secrets."""
    kept = {key: os.environ[key] for key in _KEPT_VARIABLES if key in os.environ}
    here = str(Path(__file__).resolve().parents[3])
    return kept | {
        "PYTHONPATH": os.pathsep.join([here, *filter(None, sys.path)]),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }


def _printable(text: bytes) -> str:
    """At most 300 characters of a subprocess's exit message, without line breaks or control characters."""
    words = " ".join(text.decode("utf-8", "replace").split())
    return "".join(character for character in words if character.isprintable())[:300]


def _limit_subprocess() -> None:
    """Forbid this process to write to files, to compute for more than 30 s, to grow by more than 1 GiB."""
    try:
        import resource
    except ImportError:  # Windows has no such limits; the time limit and the checks remain
        return
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: 30}
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # macOS: memory in use is not reported, and RLIMIT_AS is not enforced anyway
        pass
    else:
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + (1 << 30)
    for kind, limit in limits.items():
        hard = resource.getrlimit(kind)[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (value, value))


def _unpickle(data: bytes) -> object:
    """Whatever `weights_only` builds from the pickle, on the CPU."""
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file can make the reader raise anything
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise _RefusedError("this pickle unfolds to more than 1 GiB") from error
        wants = re.search(r"GLOBAL (\S+)|Unsupported (?:class|operand|global) (\S+)", str(error))
        what = f"it asks for {wants[1] or wants[2]}" if wants else re.split(r"\.\s|\n", str(error))[0]
        raise _RefusedError(f"this pickle holds more than plain tensors, or is broken: {what}") from error


def _tensors_of(content: object) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors in an unpickled dict by name, and A1111's name for them or nothing."""
    if not isinstance(content, dict):
        raise _RefusedError(f"this pickle holds a {type(content).__name__}, not a dict of tensors")
    token = ""
    if "string_to_param" in content:
        token = content["name"] if isinstance(content.get("name"), str) else ""
        content = content["string_to_param"]
        if not isinstance(content, dict):
            raise _RefusedError(f"its string_to_param is a {type(content).__name__}, not a dict of tensors")
    if len(content) > _MAX_TENSORS:
        raise _RefusedError(f"this pickle holds {len(content)} entries: a model, not an embedding")
    return dict(_plain(key, value) for key, value in content.items()), token


def _plain(key: object, value: object) -> tuple[str, torch.Tensor]:
    """One entry, if it is a dense floating-point tensor of one or two axes under a name."""
    if not isinstance(key, str):
        raise _RefusedError(f"an entry is called {key!r:.60}, which is not text")
    if not isinstance(value, torch.Tensor):
        raise _RefusedError(f"its entry {key!r:.60} is a {type(value).__name__}, not a tensor")
    if value.layout is not torch.strided or value.device.type != "cpu" or not value.is_floating_point():
        raise _RefusedError(f"its entry {key!r:.60} is not a dense tensor of floating-point numbers")
    # Before anything is copied: a view with strides of 0 can claim any size.
    if value.ndim not in (1, 2) or value.numel() > _MAX_NUMBERS:
        raise _RefusedError(f"its entry {key!r:.60} has the shape {tuple(value.shape)}, which no embedding has")
    return key, value.detach()


def main() -> int:
    """Turn a pickle on standard input into safetensors on standard output, or a reason on standard error."""
    data = sys.stdin.buffer.read(MAX_PICKLE_BYTES + 1)
    _limit_subprocess()
    try:
        tensors, token = _tensors_of(_unpickle(data))
    except _RefusedError as refused:
        print(refused, file=sys.stderr)
        return _REFUSED
    sys.stdout.buffer.write(dump_tensors(tensors, {"token": token} if token else {}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
