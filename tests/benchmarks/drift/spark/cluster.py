"""A real Spark standalone cluster with Beam's job server, started here and stopped again.

A master, two workers of one core each, Beam's job server as Spark's driver, and Beam's pool of
Python workers: six kinds of processes on the loopback address. Each starts in a session of its own,
so that everything it started ends with it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
TOOLS = ROOT / ".tools" / "spark"
POM = Path(__file__).with_name("pom.xml")
HOST = "127.0.0.1"
WORKERS = 2
_START_SECONDS = 90
_FETCH_SECONDS = 900
# What Spark asks of Java 17 (org.apache.spark.launcher.JavaModuleOptions).
_OPENED = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "jdk.internal.ref",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)


class Unavailable(Exception):
    """What the cluster needs is not on this machine."""


@dataclass
class Cluster:
    """Addresses of a running cluster.

    Attributes:
        job_endpoint: Beam's job service.
        artifact_endpoint: Beam's artifact service.
        worker_pool: Beam's pool of Python workers.
        start_seconds: How long the start took.
        logs: Folder with the processes' output.
    """

    job_endpoint: str
    artifact_endpoint: str
    worker_pool: str
    start_seconds: float
    logs: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)


def fetch_jars() -> Path:
    """Returns the folder of Spark's and Beam's jars, fetched once by Maven.

    Raises:
        Unavailable: There is no Java, no Maven, or the jars cannot be fetched.
    """
    if not shutil.which("java"):
        raise Unavailable("no java on the path")
    jars = TOOLS / "jars"
    if not (TOOLS / "complete").exists():
        if not shutil.which("mvn"):
            raise Unavailable("no mvn on the path, and no jars fetched before")
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
        try:
            subprocess.run(command, check=True, timeout=_FETCH_SECONDS, capture_output=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"Maven could not fetch the jars: {error}") from error
        (TOOLS / "complete").touch()
    return jars


@contextmanager
def running(scratch: Path) -> Iterator[Cluster]:
    """Starts the cluster, and stops all of it at the end.

    Raises:
        Unavailable: Something that it needs is missing.
        RuntimeError: A process did not start in time; its last words are in the message.
    """
    jars, begin = fetch_jars(), time.monotonic()
    master, web, job, artifact, pool = (_free_port() for _ in range(5))
    logs = scratch / "logs"
    logs.mkdir(parents=True)
    cluster = Cluster(f"{HOST}:{job}", f"{HOST}:{artifact}", f"{HOST}:{pool}", 0.0, logs)
    deploy = "org.apache.spark.deploy"
    try:
        arguments = ["--host", HOST, "--port", str(master), "--webui-port", str(web)]
        _start(cluster, "master", _java(jars, f"{deploy}.master.Master", arguments), master)
        for number in range(WORKERS):
            arguments = ["--host", HOST, "--cores", "1", "--memory", "3g", "--webui-port", "0"]
            arguments += ["--work-dir", str(scratch / f"worker{number}")]
            arguments += [f"spark://{HOST}:{master}"]
            _start(cluster, f"worker{number}", _java(jars, f"{deploy}.worker.Worker", arguments))
        arguments = [f"--job-host={HOST}", f"--job-port={job}", f"--artifact-port={artifact}"]
        arguments += ["--expansion-port=0", f"--spark-master-url=spark://{HOST}:{master}"]
        arguments += [f"--artifacts-dir={scratch / 'artifacts'}"]
        settings = {"driver.host": HOST, "driver.bindAddress": HOST, "executor.memory": "2g"}
        settings |= {"executor.cores": "1", "cores.max": str(WORKERS), "ui.enabled": "false"}
        settings |= {"default.parallelism": str(2 * WORKERS), "local.dir": str(scratch / "local")}
        options = [f"-Dspark.{name}={value}" for name, value in settings.items()]
        driver = _java(
            jars, "org.apache.beam.runners.spark.SparkJobServerDriver", arguments, options
        )
        _start(cluster, "job_server", driver, job)
        workers = [sys.executable, "-m", "tests.benchmarks.drift.spark.worker_pool", str(pool)]
        _start(cluster, "python_workers", workers, pool)
        _await_workers(cluster, web)
        cluster.start_seconds = time.monotonic() - begin
        yield cluster
    finally:
        _stop(cluster)


def _java(
    jars: Path, main: str, arguments: Sequence[str], options: Sequence[str] = ()
) -> list[str]:
    opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED]
    return ["java", "-Xmx2g", *opened, *options, "-cp", f"{jars}/*", main, *arguments]


def _start(cluster: Cluster, name: str, command: Sequence[str], port: int = 0) -> None:
    environment = {
        **os.environ,
        "SPARK_HOME": str(TOOLS),
        "SPARK_SCALA_VERSION": "2.12",
        "SPARK_LOCAL_IP": HOST,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        # Two workers on two cores: no worker needs threads of its own.
        "OMP_NUM_THREADS": "1",
    }
    with (cluster.logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )
    cluster._running.append(process)
    if port:
        _await(lambda: _answers(port), process, cluster, name)


def _await_workers(cluster: Cluster, web: int) -> None:
    def registered() -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{web}/json/", timeout=5) as answer:
                return int(json.load(answer)["aliveworkers"]) >= WORKERS
        except (OSError, ValueError):
            return False

    _await(registered, cluster._running[0], cluster, "master")


def _await(ready, process, cluster, name) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (cluster.logs / f"{name}.log").read_text(errors="replace")
            raise RuntimeError(
                f"Expected {name} to be up within {_START_SECONDS} s, received exit status "
                f"{process.poll()}; its last words: {log[-2_000:]}"
            )
        time.sleep(0.2)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(cluster: Cluster) -> None:
    """Ends what was started, the last first, with all of its children."""
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        for process in reversed(cluster._running):
            try:
                os.killpg(process.pid, wanted)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + 10
        for process in cluster._running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
