"""The lock with expiry, and the conditional files that it stands on."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tfx_loop.core.conditional_files import ABSENT, FolderFiles
from tfx_loop.core.errors import ServerUnavailable, WriteConflict
from tfx_loop.core.expiring_lock import ExpiringLock, LockTerms
from tfx_loop.core.process_identity import has_ended, this_process

NAME = "lock.json"


@pytest.fixture
def files(tmp_path):
    return FolderFiles(tmp_path)


def lock(files, token, seconds=30.0, clock=time.monotonic, sleep=time.sleep):
    terms = LockTerms(name=NAME, holder=f"holder {token}", token=token, seconds=seconds)
    return ExpiringLock(files, terms, clock, sleep)


class SlowedClock:
    """Time passes only while somebody sleeps."""

    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_file_is_replaced_only_where_it_is_as_it_was_read(files):
    first = files.replace("a", b"one", ABSENT)
    second = files.replace("a", b"two", first)
    for stale in (ABSENT, first):
        with pytest.raises(WriteConflict):
            files.replace("a", b"three", stale)
    assert files.read("a").content == b"two"
    assert files.replace("a", None, second) == ABSENT
    assert files.read("a").content is None


@pytest.mark.slow
def test_of_many_writers_each_addition_counts_once(files):
    def add(_):
        while True:
            found = files.read("count")
            try:
                files.replace("count", b"%d" % (int(found.content or 0) + 1), found.tag)
            except WriteConflict:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(100)))
    assert files.read("count").content == b"100"


@pytest.mark.slow
def test_of_many_threads_one_holds_the_lock(files):
    inside, most = [], []

    def work(number):
        with lock(files, str(number)).held(60):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert most == [1] * 6
    assert files.read(NAME).content is None


@pytest.mark.slow
def test_waiting_for_a_holder_who_renews_ends_with_its_name(files):
    with (
        lock(files, "a", seconds=0.3).held(1) as held,
        pytest.raises(ServerUnavailable, match="held by holder a"),
        lock(files, "b").held(1.5),
    ):
        raise AssertionError("two holders")
    assert held is not None


def test_lock_that_nobody_renews_is_taken_after_its_time_and_no_sooner(files):
    files.replace(NAME, b'{"holder": "dead", "token": "x", "seconds": 5}', ABSENT)
    clock = SlowedClock()
    with lock(files, "b", clock=clock, sleep=clock.sleep).held(600) as held:
        held.check()
        assert 5 <= clock.now < 6


def test_damaged_note_expires_too(files):
    files.replace(NAME, b"\x00 no JSON", ABSENT)
    clock = SlowedClock()
    with lock(files, "b", clock=clock, sleep=clock.sleep).held(600):
        assert 30 <= clock.now < 31


def test_holder_that_stood_still_is_told_and_takes_nothing_back(files):
    with lock(files, "a").held(1) as held:
        tag = files.read(NAME).tag
        files.replace(NAME, b'{"holder": "holder b", "token": "b"}', tag)
        with pytest.raises(WriteConflict, match="received holder b"):
            held.check()
    assert b'"b"' in files.read(NAME).content


def test_renewing_ends_with_the_lock(files):
    with lock(files, "a", seconds=0.1).held(1):
        first = files.read(NAME).tag
        deadline = time.monotonic() + 30
        while files.read(NAME).tag == first and time.monotonic() < deadline:
            time.sleep(0.02)
        assert files.read(NAME).tag != first
    assert not [t for t in threading.enumerate() if t.name == "lock"]


@pytest.mark.slow
def test_a_holder_of_this_machine_that_ended_is_waited_for_no_longer(files, tmp_path):
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tfx_loop.core.conditional_files import FolderFiles\n"
        "from tfx_loop.core.expiring_lock import ExpiringLock, LockTerms\n"
        f"terms = LockTerms(name={NAME!r}, holder='killed', token='k', seconds=600)\n"
        "files = FolderFiles(Path(sys.argv[1]))\n"
        "with ExpiringLock(files, terms, time.monotonic, time.sleep).held(0):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ServerUnavailable, match="held by killed"),
            lock(files, "early").held(0.5),
        ):
            pass
        holder.kill()
        # Ten minutes are what its note is good for. It is a zombie: nobody waited for it.
        began = time.monotonic()
        with lock(files, "next").held(120):
            assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        (lambda where, pid, started: f"{where} {pid} {started}", False),
        (lambda where, pid, started: f"{where} {pid} 1{started}", True),
        (lambda where, pid, started: f"{where} 4194305 {started}", True),
        (lambda where, pid, started: f"another-boot/1 {pid} 1{started}", False),
        (lambda where, pid, started: f"{where} {pid}", False),
        (lambda where, pid, started: f"{where} .. 1", False),
        (lambda where, pid, started: "", False),
    ],
)
def test_only_what_is_sure_to_have_ended_counts_as_that(change, ended):
    assert has_ended(change(*this_process().split())) is ended
