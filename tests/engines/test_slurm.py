"""The array script for Slurm: its text, whatever names are in it, and what it does with the run's exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from crossinit_batch.engines.slurm import SlurmOptions, script_text, submit_script
from crossinit_batch.errors import RequestError

GOLDEN = """\
#!/bin/bash
#SBATCH --job-name=crossinit-celeba
#SBATCH --array=0-15
#SBATCH '--output=/logs of mine/%A_%a.log'
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@90
#SBATCH --partition=gpu
#SBATCH --time=04:00:00
#SBATCH --gpus-per-task=2
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --account=lab

"""


def test_the_script_asks_for_what_was_wanted() -> None:
    options = SlurmOptions(
        16, "crossinit-celeba", "/logs of mine/%A_%a.log", "gpu", "04:00:00", 2, 8, 90, ("--account=lab",)
    )
    text = script_text(["crossinit", "run", "/data/celeba.yaml"], options)
    assert text.startswith(GOLDEN)
    assert "crossinit run /data/celeba.yaml &\n" in text
    assert 'scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"' in text


@pytest.mark.parametrize(
    "name", ["with space", "$(touch bad)", "`touch bad`", "it's", 'a"b', "; touch bad #", "%&|<>*"]
)
def test_no_name_is_ever_executed(tmp_path: Path, name: str) -> None:
    code = "import os, sys; open(os.environ['ASKED'], 'w').write(sys.argv[1])"
    text = script_text(["python3", "-c", code, name], SlurmOptions(1, name, name))
    asked = tmp_path / "asked"
    done = subprocess.run(
        ["bash", "-s"],
        input=text,
        text=True,
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "ASKED": str(asked)},
    )
    assert done.returncode == 0, done.stderr
    assert asked.read_text() == name
    assert [path.name for path in tmp_path.iterdir()] == ["asked"]


@pytest.mark.parametrize("name", ["two\nlines", "a\x00b", "a\rb", "\x1b[31m"])
def test_a_name_that_would_break_a_line_is_refused(name: str) -> None:
    for options in (SlurmOptions(1, name, "log"), SlurmOptions(1, "n", "log", extra=(name,))):
        with pytest.raises(RequestError, match="line break or a control character"):
            script_text(["run"], options)
    with pytest.raises(RequestError, match="line break or a control character"):
        script_text(["run", name], SlurmOptions(1, "n", "log"))


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A folder with a program `scontrol` that writes down what it was asked, and `run` that takes its time."""
    (tmp_path / "scontrol").write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/asked\n')
    (tmp_path / "run").write_text(
        f"#!/bin/bash\ntrap 'sleep 0.3; exit 75' TERM\ntouch {tmp_path}/begun\n"
        '[ "$1" = wait ] || exit "$1"\nwhile :; do sleep 0.05; done\n'
    )
    for name in ("scontrol", "run"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


def start(cluster: Path, argument: str) -> subprocess.Popen[bytes]:
    script = cluster / "script.sh"
    script.write_text(script_text([str(cluster / "run"), argument], SlurmOptions(4, "n", "log")))
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    environ = {"PATH": f"{cluster}:{os.environ['PATH']}", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "3"}
    return subprocess.Popen(["bash", str(script)], env=environ)


@pytest.mark.parametrize("code", [0, 1, 2, 137])
def test_the_runs_exit_code_is_the_tasks(cluster: Path, code: int) -> None:
    assert start(cluster, str(code)).wait(20) == code
    assert not (cluster / "asked").exists()


@pytest.mark.parametrize("signals", [1, 2])
def test_a_task_that_is_told_to_stop_saves_and_is_queued_again_alone(cluster: Path, signals: int) -> None:
    process = start(cluster, "wait")
    end = time.monotonic() + 20
    while not (cluster / "begun").exists() and time.monotonic() < end:
        time.sleep(0.02)
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    assert process.wait(20) == 75
    assert (cluster / "asked").read_text() == "requeue 77_3\n"


def test_without_slurm_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequestError, match="there is no sbatch"):
        submit_script("")
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'error: invalid partition' >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    with pytest.raises(RequestError, match="sbatch refused the job: error: invalid partition"):
        submit_script("")
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho '42;cluster'\n")
    assert submit_script("") == "42"
