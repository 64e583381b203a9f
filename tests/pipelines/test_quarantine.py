"""Windows that decisions found broken stay out until they are sound again or released."""

import pytest
from recorder import RecordedRun, decision_content, monitoring_nodes, open_store

from tfx_loop.contracts.measured_loss import FaultyWindow
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.json_codec import to_json
from tfx_loop.pipelines.control.quarantine import quarantine, release


class Store:
    """A store into which decisions are recorded as RetrainDecider records them."""

    def __init__(self, folder) -> None:
        self.store, self.folder, self.runs = open_store(folder / "metadata.sqlite"), folder, 0

    def decide(self, window: str, label_window: str, *faulty: FaultyWindow) -> None:
        self.runs += 1
        told = {"window": window, "verdict": "HOLD", "label_window": label_window}
        evidence = decision_content(**told)["evidence"]
        evidence["faulty_windows"] = [to_json(each) for each in faulty]
        nodes = monitoring_nodes({**told, "evidence": evidence})
        run = RecordedRun(self.store, "flights-monitoring", f"run-{self.runs}", self.folder)
        run.run(nodes)

    def names(self, being_judged: str = "") -> list[str]:
        return [each.told for each in quarantine(self.store, "flights", being_judged)]


@pytest.fixture
def told(tmp_path):
    return Store(tmp_path)


def faulty(window: str, *faults: str) -> FaultyWindow:
    start = int(window.split("-")[1])
    return FaultyWindow(window=window, start_ms=start, end_ms=start + 1, faults=faults)


def test_windows_remember_faults_of_features_and_labels(told) -> None:
    told.decide("w-05", "w-04", faulty("w-05", "amount: other_unit"))
    told.decide("w-06", "w-05")
    assert told.names() == ["w-05 (amount: other_unit)"]
    told.decide("w-07", "w-06", faulty("w-06", "labels: flipped"))
    told.decide("w-08", "w-07")
    assert told.names() == ["w-05 (amount: other_unit)", "w-06 (labels: flipped)"]
    assert quarantine(told.store, "taxi") == ()


def test_window_that_was_mended_and_monitored_again_comes_out(told) -> None:
    told.decide("w-05", "w-04", faulty("w-05", "amount: other_unit"))
    assert told.names(being_judged="w-05") == []
    told.decide("w-05", "w-04")
    assert told.names() == []


def test_release_holds_for_the_faults_known_so_far(told) -> None:
    told.decide("w-05", "w-04", faulty("w-05", "amount: other_unit"))
    released = release(told.store, "flights", "w-05", "a price rise", 1)
    assert (released.window, told.names()) == ("w-05", [])
    told.decide("w-06", "w-05", faulty("w-05", "labels: flipped"))
    assert told.names() == ["w-05 (labels: flipped)"]


def test_release_of_what_is_not_held_or_without_a_reason_is_refused(told) -> None:
    told.decide("w-05", "w-04", faulty("w-05", "amount: other_unit"))
    with pytest.raises(ConfigError, match=r"in quarantine \(w-05\), received 'w-5'"):
        release(told.store, "flights", "w-5", "typo", 1)
    with pytest.raises(ConfigError, match="Give --reason"):
        release(told.store, "flights", "w-05", " ", 1)


def test_fault_whose_file_is_gone_is_no_clean_window(told) -> None:
    told.decide("w-05", "w-04", faulty("w-05", "amount: other_unit"))
    [path] = told.folder.rglob("retrain_decision.json")
    path.unlink()
    with pytest.raises(DataError, match="monitor its window again"):
        told.names()
