"""Starts Beam's Python workers as processes when Spark asks for them, on the loopback address.

Beam's own `worker_pool_main` listens on every address of the machine, and tells workers by an id
that two executors of a cluster both give: stopping the one's worker ends the other's.

    python -m tests.benchmarks.drift.spark.worker_pool PORT
"""

import subprocess
import sys
import time
from concurrent import futures
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

_WORKER = """
from apache_beam.runners.worker.sdk_worker import SdkHarness
import sys
SdkHarness(sys.argv[1], worker_id=sys.argv[2], data_buffer_time_limit_ms=-1).run()
"""


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts a process for each worker that is asked for; it ends when its executor hangs up."""

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Starts a worker that reports to the executor's control address."""
        address = request.control_endpoint.url
        print(f"worker {request.worker_id} for {address}", flush=True)
        subprocess.Popen([sys.executable, "-c", _WORKER, address, request.worker_id])
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Leaves the worker to its executor's hanging up, as the id may be of two workers."""
        return beam_fn_api_pb2.StopWorkerResponse()


def main(port: int) -> None:
    """Serves until it is ended."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(WorkerPool(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    while True:
        time.sleep(3_600)


if __name__ == "__main__":
    main(int(sys.argv[1]))
