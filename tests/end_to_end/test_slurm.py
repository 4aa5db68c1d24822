"""A real Slurm on this machine: an array job, one task of which is told to stop, queued again and goes on."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crossinit_batch import layout
from tests.end_to_end.small_run import SmallRun
from tests.helpers.tree import tree_of

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "runuser")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=3
SlurmUser=root
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/slurmd
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=1
NodeName={host} CPUs=2 RealMemory=500
PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=NO
"""


def until(what: Callable[[], object], seconds: float) -> None:
    """Wait until something is so; AssertionError where it does not come."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.3)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Slurm's daemons with one node, and the environment that finds them; their folder."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and Debian's slurm-wlm and munge; missing: {', '.join(missing) or 'root'}")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)  # munged is another user
    for name in ("munge", "ctld", "slurmd"):
        (folder / name).mkdir()
    (folder / "munge/key").write_bytes(secrets.token_bytes(128))
    (folder / "munge/key").chmod(0o400)
    for path in (folder / "munge", folder / "munge/key"):
        shutil.chown(path, "munge", "munge")
    sockets = [socket.create_server(("", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, ports=ports, folder=folder))
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    files = {name: f"--{name}-file={folder}/munge/{name}" for name in ("key", "pid", "log", "seed")}
    commands = [
        ["runuser", "-u", "munge", "--", "munged", "--foreground", f"--socket={folder}/munge/socket", *files.values()],
        ["slurmctld", "-D"],
        ["slurmd", "-D", "-N", host],
    ]
    daemons = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("wb") as output:
                daemons.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
            if command[0] == "runuser":
                until(lambda: (folder / "munge/socket").exists(), 20)
        until(lambda: "idle" in told("sinfo", "-h", "-o", "%t"), 40)
        yield folder
    finally:
        told("scancel", "--full", "--user=root")
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout


def completed_or_hurried(job: str) -> bool:
    """Whether a task is done; one that waits is told to start, as Slurm lets what was queued again wait two minutes."""
    state = job_facts(job).get("JobState")
    if state == "PENDING":
        told("scontrol", "update", f"jobid={job}", "StartTime=now")
    return state == "COMPLETED"


def job_facts(job: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", told("scontrol", "show", "job", job)))


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_an_array_task_that_is_told_to_stop_is_queued_again_alone_and_goes_on(small: SmallRun) -> None:
    small.values["methods"] = [{"name": "quick", "use": "cross-init-fast", "steps": 200, "batch_size": 1}]
    small.values["compute"]["checkpoint_every"] = 10
    whole = small.at("whole")
    whole.run()
    log = small.folder / "log of %a"
    words = ["submit", str(small.save()), "--slurm", "--tasks", "2", "--cpus", "1", "--log", str(log)]
    words += ["--run=--device", "--run=cpu"]
    submitted = subprocess.run([sys.executable, "-m", "crossinit_batch", *words], capture_output=True, text=True)
    assert submitted.returncode == 0, submitted.stderr
    found = re.search(r"Submitted job (\d+) of 2 tasks", submitted.stdout)
    assert found is not None, submitted.stdout
    job = found[1]
    first, second = (small.folder / f"log of {number}" for number in (0, 1))

    until(lambda: first.exists() and "checkpoint at step" in first.read_text(), 120)
    told("scancel", "--signal=TERM", "--batch", f"{job}_0")
    until(lambda: "stopped by SIGTERM" in first.read_text(), 30)
    until(lambda: job_facts(f"{job}_0").get("Restarts") == "1", 30)
    for task in (0, 1):
        until(lambda task=task: completed_or_hurried(f"{job}_{task}"), 150)
    assert job_facts(f"{job}_0")["ExitCode"] == job_facts(f"{job}_1")["ExitCode"] == "0:0"
    assert job_facts(f"{job}_1")["Restarts"] == "0"
    assert first.read_text().count("small, shard 1/2") == 2  # both starts are in one log
    assert second.read_text().count("small, shard 2/2") == 1
    assert {**tree_of(small.store), layout.MANIFEST: ""} == {**tree_of(whole.store), layout.MANIFEST: ""}
    assert small.store.read(layout.GALLERY) is not None
