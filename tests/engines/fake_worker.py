"""A worker process without a model: what it does over a batch goes by the name of the batch's first identity."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

from crossinit_batch.engines.messages import Brief, Lost, Ready, Refused, Stop, Stopped, TaskDone
from crossinit_batch.errors import ModelError
from crossinit_batch.events import ArtifactDone, JobFailed, Warned
from crossinit_batch.model.counters import Counters
from crossinit_batch.plan.task import Task


def serve(connection: Connection, brief: Brief) -> None:
    """Like a real worker's life; every batch that is begun leaves a line in the file `brief.facts["diary"]`."""
    diary = Path(brief.facts["diary"])
    if brief.device == "broken":
        os._exit(3)
    if brief.device == "refused":
        connection.send(Refused(ModelError("the model is damaged")))
        return
    connection.send(Ready(Counters(model_loads=1)))
    connection.send(Warned("every worker says this"))
    while (message := connection.recv()) is not None:
        if isinstance(message, Stop):
            connection.send(Stopped("stopped between two batches"))
            return
        assert isinstance(message, Task)
        name = message.batch.identities[0]
        before = diary.read_text().split() if diary.exists() else []
        with diary.open("a") as file:
            file.write(f"{name}\n")
        if name == "poison" or (name == "once" and "once" not in before):
            connection.send(JobFailed(message.batch.method, name, "photograph", "told before it died", ""))
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "lost" and "lost" not in before:
            connection.send(Lost("CUDA error: device-side assert"))
            os._exit(1)
        if name == "stuck" and "stuck" not in before:
            time.sleep(60)
        if name == "slow":
            stop = connection.recv()
            assert isinstance(stop, Stop)
            connection.send(Stopped("stopped at step 3 of 9"))
            return
        if name == "deaf":
            time.sleep(60)
        connection.send(ArtifactDone(message.batch.method, name, 0.1))
        connection.send(TaskDone(Counters(unet_forwards=10)))
