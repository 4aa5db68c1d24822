"""Buckets on this machine: moto's S3 and Microsoft's Azurite, both over real HTTP, and a proxy that spoils answers.

Credentials are made up, and are in the environment alone, as the program wants them.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

AZURITE = "3.35.0"
"""The newest that runs on Node 20; later ones want 22."""

S3_SECRET = "moto-secret-wJalrXUtnFEMI"
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_SECRET = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's well-known key, which opens nothing else."""


def s3_environment(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "moto-key",
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def azure_environment(endpoint: str) -> dict[str, str]:
    parts = ("DefaultEndpointsProtocol=http", f"AccountName={AZURE_ACCOUNT}", f"AccountKey={AZURE_SECRET}")
    return {"AZURE_STORAGE_CONNECTION_STRING": ";".join((*parts, f"BlobEndpoint={endpoint}/{AZURE_ACCOUNT};"))}


def use(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process, and those that it starts, use these buckets."""
    import fsspec

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for scheme in ("s3", "az"):  # instances that were made before remember where they were
        fsspec.get_filesystem_class(scheme).clear_instance_cache()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server."""
    pytest.importorskip("s3fs", reason="needs the extra dev")
    server = pytest.importorskip("moto.server", reason="needs the extra dev")
    started = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an Azure blob server."""
    pytest.importorskip("adlfs", reason="needs the extra dev")
    with _azurite(tmp_path_factory.mktemp("azurite")) as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket on S3."""
    use(s3_environment(s3_server), monkeypatch)
    return f"s3://{new_bucket()}"


@pytest.fixture
def azure(azure_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty container on Azure."""
    use(azure_environment(azure_server), monkeypatch)
    name = f"container-{uuid.uuid4().hex[:12]}"
    import fsspec

    fsspec.filesystem("az").mkdir(name)
    return f"az://{name}"


@pytest.fixture(params=["local", "memory", "s3", "azure"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place on every kind of storage in turn."""
    if request.param == "local":
        return str(tmp_path)
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    place: str = request.getfixturevalue(request.param)
    return place


def new_bucket() -> str:
    """Make a bucket on the S3 server of the environment."""
    import boto3

    name = f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name


@contextmanager
def _azurite(folder: Path) -> Iterator[str]:
    program = _installed_azurite()
    port = free_port()
    options = ["--silent", "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry"]
    command = ["node", str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.skip("azurite does not start here")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _installed_azurite() -> Path:
    """Azurite's program, installed once into the user's cache; the test is skipped where that cannot be done."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("azurite needs node and npm, which are not here")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / f"crossinit-tests/azurite-{AZURITE}"
    program = cache / "node_modules/azurite/dist/src/blob/main.js"
    if not program.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        install = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(cache),
            f"azurite@{AZURITE}",
        ]
        done = subprocess.run(install, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode or not program.is_file():
            pytest.skip(f"azurite {AZURITE} cannot be installed from npm here")
    return program
