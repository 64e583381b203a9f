"""Starts of the gateway that end with one line, which names the flag."""

import subprocess
import sys

import pytest
import time_limits

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.mark.parametrize(
    "flag",
    [
        "--ready_file=/dev/null/ready.json",
        "--raw_log=/dev/null/log",
        "--upstream_ca_file=/dev/null",
        "--upstream_ca_file=/nowhere/ca.pem",
    ],
)
def test_a_path_that_cannot_be_used_ends_the_start_with_its_flag(flag):
    command = [sys.executable, "-m", "tfx_loop.deployment.gateway.main", "--upstream=127.0.0.1:1"]
    done = subprocess.run(
        [*command, "--port=0", "--rest_api_port=0", flag],
        capture_output=True,
        text=True,
        timeout=time_limits.seconds(60),
        check=False,
    )
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert line.startswith("loop-gateway: error: ")
    assert flag in line
    assert "ready at" not in done.stdout
