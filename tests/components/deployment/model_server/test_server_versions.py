"""Versions are loaded, switched and let go of as folders and routing say."""

import threading
import time
from pathlib import Path

import pytest
from time_limits import seconds

from tfx_loop.core.errors import DataError, ModelRejected
from tfx_loop.deployment.model_server.model_config import VersionPolicy
from tfx_loop.deployment.model_server.routing import Routing
from tfx_loop.deployment.model_server.version_folders import VersionFolder, list_versions
from tfx_loop.deployment.model_server.version_status import ServingState
from tfx_loop.deployment.model_server.versions import LoadRetries, Versions


class Folders:
    """Version folders and what loading them does; the clock stands still unless moved."""

    def __init__(self, retries=None):
        self.there = {}
        self.broken = {}
        self.loads = []
        self.now = 0.0
        self.candidates = {}
        self.routing = Routing()
        self.versions = Versions(
            "m",
            lambda: dict(self.there),
            self.load,
            lambda: self.now,
            retries,
            lambda: dict(self.candidates),
            lambda: self.routing,
        )

    def load(self, version, path):
        self.loads.append(version)
        if version in self.broken:
            raise RuntimeError(self.broken[version])
        return f"model-{version}"

    def add(self, *numbers, identity=()):
        for number in numbers:
            self.there[number] = VersionFolder(path=Path(str(number)), identity=identity)

    def poll(self):
        self.versions.poll()
        return self.serving()

    def serving(self):
        try:
            return self.versions.get()[0]
        except ModelRejected:
            return None

    def states(self):
        return {status.version: status.state for status in self.versions.statuses()}


def test_the_newest_version_serves_and_the_old_one_ends():
    folders = Folders()
    folders.add(1)
    assert folders.poll() == 1
    folders.add(2, 10)
    assert folders.poll() == 10
    assert folders.states() == {1: ServingState.END, 10: ServingState.AVAILABLE}
    assert folders.loads == [1, 10]


def test_nothing_serves_before_there_is_a_version():
    folders = Folders()
    assert folders.poll() is None
    with pytest.raises(ModelRejected, match=r"Servable not found for request: Latest\(m\)"):
        folders.versions.get()


def test_a_broken_version_leaves_the_old_one_serving_and_is_not_tried_forever():
    folders = Folders()
    folders.add(1)
    folders.poll()
    folders.add(2)
    folders.broken[2] = "no saved_model.pb"
    for _ in range(5):
        assert folders.poll() == 1
    assert folders.loads == [1, 2]
    status = folders.versions.status(2)
    assert status.state is ServingState.END
    assert "no saved_model.pb" in status.error
    assert folders.states()[1] is ServingState.AVAILABLE


def test_the_newest_loadable_version_serves_when_the_newest_is_broken():
    folders = Folders()
    folders.add(1, 2, 3)
    folders.broken = {3: "x", 2: "y"}
    assert folders.poll() == 1


def test_retries_wait_and_are_counted():
    folders = Folders(LoadRetries(max_retries=2, interval_seconds=10))
    folders.add(1)
    folders.broken[1] = "x"
    folders.poll()
    assert folders.states() == {1: ServingState.LOADING}
    folders.poll()
    assert folders.loads == [1]
    for now in (10, 20, 30, 40):
        folders.now = now
        folders.poll()
    assert folders.loads == [1, 1, 1]
    assert folders.states() == {1: ServingState.END}


def test_a_fixed_version_is_tried_again():
    folders = Folders()
    folders.add(1, identity=(1,))
    folders.broken[1] = "x"
    folders.poll()
    folders.broken.clear()
    assert folders.poll() is None
    folders.add(1, identity=(2,))
    assert folders.poll() == 1


def test_a_version_that_vanishes_is_replaced_only_when_another_can_serve():
    folders = Folders()
    folders.add(1, 2)
    folders.poll()
    saved = folders.there.pop(1)
    folders.there.pop(2)
    assert folders.poll() == 2
    folders.there[1] = saved
    assert folders.poll() == 1
    assert folders.states() == {1: ServingState.AVAILABLE, 2: ServingState.END}


def test_another_version_than_the_serving_one_is_not_found():
    folders = Folders()
    folders.add(1, 2)
    folders.poll()
    assert folders.versions.get(2) == (2, "model-2")
    with pytest.raises(ModelRejected, match=r"Specific\(m, 1\)"):
        folders.versions.get(1)
    with pytest.raises(ModelRejected, match="Could not find version 7"):
        folders.versions.status(7)


def test_the_old_version_answers_while_the_new_one_loads():
    loading, go_on = threading.Event(), threading.Event()
    folders = {1: VersionFolder(path=Path("1"))}

    def load(version, path):
        if version == 2:
            loading.set()
            go_on.wait(seconds(5))
        return version

    versions = Versions("m", lambda: dict(folders), load, time.monotonic)
    versions.poll()
    folders[2] = VersionFolder(path=Path("2"))
    thread = threading.Thread(target=versions.poll)
    thread.start()
    assert loading.wait(seconds(5))
    assert versions.get()[0] == 1
    assert versions.status(2).state is ServingState.LOADING
    go_on.set()
    thread.join()
    assert versions.get()[0] == 2


def test_only_numbered_folders_are_versions(tmp_path):
    for name in ("1", "20", "x", "-3", "1.5", ".tmp-4", "٣", "20261129163000123456"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("a file")
    assert sorted(list_versions(tmp_path)) == [1, 20]
    assert list_versions(tmp_path / "missing") == {}


def test_candidate_answers_only_for_its_number_and_serves_later_without_loading_again():
    folders = Folders()
    folders.add(1)
    folders.candidates[2] = VersionFolder(path=Path("c2"), identity=(7,))
    assert folders.poll() == 1
    assert folders.versions.get(2) == (2, "model-2")
    assert folders.versions.beside == {2}
    assert folders.versions.labels() == {"stable": 1, "canary": 2}
    assert folders.states() == {1: ServingState.AVAILABLE, 2: ServingState.AVAILABLE}
    folders.there[2] = folders.candidates.pop(2)
    assert folders.poll() == 2
    assert folders.loads == [1, 2]
    assert folders.versions.beside == frozenset()


def test_candidate_that_goes_away_ends_and_another_content_is_loaded_anew():
    folders = Folders()
    folders.candidates[2] = VersionFolder(path=Path("c2"), identity=(7,))
    assert folders.poll() is None
    folders.candidates[2] = VersionFolder(path=Path("c2"), identity=(8,))
    folders.poll()
    assert folders.loads == [2, 2]
    folders.candidates.clear()
    folders.poll()
    assert folders.states() == {2: ServingState.END}
    with pytest.raises(ModelRejected):
        folders.versions.get(2)


def test_candidate_that_fails_to_load_is_told_and_changes_nothing():
    folders = Folders()
    folders.add(1)
    folders.broken[2] = "damaged"
    folders.candidates[2] = VersionFolder(path=Path("c2"), identity=(7,))
    assert folders.poll() == 1
    assert folders.poll() == 1
    assert folders.loads == [1, 2]
    status = folders.versions.status(2)
    assert (status.state, status.error) == (ServingState.END, "RuntimeError: damaged")
    # It gets its number with another content: nothing of the candidate is taken for it.
    folders.broken.clear()
    folders.there[2] = VersionFolder(path=Path("2"), identity=(9,))
    folders.candidates.clear()
    assert folders.poll() == 2


def test_candidates_are_found_by_their_prefix_alone(tmp_path):
    for name in ("1", ".candidate-2", ".candidate-x", ".staging-3", "candidate-4"):
        (tmp_path / name).mkdir()
    assert set(list_versions(tmp_path)) == {1}
    assert set(list_versions(tmp_path, ".candidate-")) == {2}


def test_held_versions_serve_nobody_and_labels_answer_for_theirs():
    folders = Folders()
    folders.add(1, 2, 3, 4)
    folders.routing = Routing(
        held=frozenset({3, 4}),
        loaded=frozenset({3}),
        last_resort=frozenset({1}),
        labels={"old": 1, "gone": 9},
        canary=3,
    )
    assert folders.poll() == 2
    assert folders.versions.labels() == {"stable": 2, "canary": 3, "old": 1}
    assert folders.versions.labelled("old") == (1, "model-1")
    with pytest.raises(DataError, match="Unrecognized servable version label: gone"):
        folders.versions.labelled("gone")
    with pytest.raises(ModelRejected):
        folders.versions.get(4)


def test_canary_gets_its_share_and_takes_over_without_loading_again():
    folders = Folders()
    folders.add(1, 2)
    folders.routing = Routing(
        held=frozenset({2}), loaded=frozenset({2}), canary=2, canary_share=0.25
    )
    folders.poll()
    chosen = [folders.versions.routed(number / 100)[0] for number in range(100)]
    assert (chosen.count(2), chosen.count(1)) == (25, 75)
    folders.routing = Routing(last_resort=frozenset({1}))
    assert folders.poll() == 2
    assert folders.versions.routed(0.0) == (2, "model-2")
    assert folders.loads == [1, 2]
    assert folders.states() == {1: ServingState.END, 2: ServingState.AVAILABLE}


def test_a_version_of_the_last_resort_serves_where_no_other_loads():
    folders = Folders()
    folders.add(1, 2)
    folders.broken[2] = "damaged"
    folders.routing = Routing(last_resort=frozenset({1}))
    assert folders.poll() == 1
    # Rolled back: the lower number serves, and the higher one goes.
    folders.broken.clear()
    folders.add(2, identity=(5,))
    assert folders.poll() == 2
    folders.routing = Routing(held=frozenset({2}))
    assert folders.poll() == 1
    assert folders.states() == {1: ServingState.AVAILABLE, 2: ServingState.END}


def test_a_request_during_a_move_is_answered_by_one_of_the_two():
    folders = Folders()
    folders.add(1, 2)
    there, back = Routing(held=frozenset({2}), loaded=frozenset({2})), Routing()
    there = Routing(held=frozenset({2}), loaded=frozenset({2}), canary=2, canary_share=0.5)
    folders.routing = there
    folders.poll()
    stop, failed = threading.Event(), []

    def ask():
        while not stop.is_set():
            try:
                for position in (0.1, 0.9):
                    folders.versions.routed(position)
                folders.versions.labelled("stable")
            except (DataError, ModelRejected) as error:
                failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(300):
        folders.routing = back if number % 2 else there
        folders.poll()
    stop.set()
    thread.join()
    assert failed == []


def policed(**policy):
    folders = Folders(LoadRetries(max_retries=0))
    folders.routing = Routing(policy=VersionPolicy(**policy))
    folders.add(1, 2, 3)
    return folders


def available(folders):
    states = folders.states().items()
    return {version for version, state in states if state is ServingState.AVAILABLE}


def test_the_latest_two_are_loaded_and_the_highest_serves():
    folders = policed(latest=2)
    assert folders.poll() == 3
    assert available(folders) == {2, 3}
    folders.add(4)
    assert folders.poll() == 4
    assert available(folders) == {3, 4}
    assert folders.versions.get(3) == (3, "model-3")


def test_all_versions_are_loaded_and_none_twice():
    folders = policed(every=True)
    folders.poll()
    folders.poll()
    assert available(folders) == {1, 2, 3}
    assert sorted(folders.loads) == [1, 2, 3]


def test_specific_versions_serve_alone_and_the_old_one_until_the_new_one_is_loaded():
    folders = policed(specific=frozenset({2}))
    assert folders.poll() == 2
    folders.broken[1] = "damaged"
    folders.routing = Routing(policy=VersionPolicy(specific=frozenset({1})))
    assert folders.poll() == 2
    del folders.broken[1]
    folders.add(1, identity=(7,))
    assert folders.poll() == 1
    assert available(folders) == {1}


def test_a_candidate_has_one_try_and_a_numbered_version_has_its_retries():
    folders = Folders(LoadRetries(max_retries=5, interval_seconds=60))
    folders.broken = {1: "damaged", 2: "damaged"}
    folders.add(1)
    folders.candidates[2] = VersionFolder(path=Path("2"))
    folders.poll()
    assert folders.states() == {1: ServingState.LOADING, 2: ServingState.END}
    del folders.broken[1]
    folders.now = 61.0
    assert folders.poll() == 1
