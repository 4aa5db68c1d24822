"""Freed memory is kept on glibc, and left to whoever has decided otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crossinit_batch.model import allocator
from crossinit_batch.model.allocator import keep_freed_memory

_FAULTS_OF_THE_SECOND = """
import resource
from crossinit_batch.model.allocator import keep_freed_memory
{call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    before = faults()
    piece = b"x" * (200 << 20)
    del piece
print(faults() - before)
"""


def faults_of_the_second(call: str) -> int:
    """Pages that the kernel hands out anew for a second piece of 200 MiB, after one that was freed."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", _FAULTS_OF_THE_SECOND.format(call=call)]
    return int(subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not allocator._is_glibc(), reason="another C library has another allocator")
def test_what_is_freed_is_used_again_without_the_kernel() -> None:
    assert faults_of_the_second("assert keep_freed_memory()") < 50
    assert faults_of_the_second("") > 50


@pytest.mark.parametrize(
    "environ",
    [
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"MALLOC_MMAP_MAX_": "0"},
        {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4096"},
    ],
)
def test_the_users_own_settings_stand(environ: dict[str, str]) -> None:
    assert keep_freed_memory(environ) is False


@pytest.mark.parametrize("error", [ValueError("unrecognized configuration name"), OSError("no such name")])
def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def confstr(_name: str) -> str:
        raise error

    monkeypatch.setattr(os, "confstr", confstr)
    assert keep_freed_memory({}) is False
