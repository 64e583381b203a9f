"""The page shows the numbers of the run, and nothing else."""

import re
from dataclasses import replace

import pytest
from page_run import MONTHS, page_inputs

from tfx_loop.pipelines.examples.flights.demo.page import read_report, render_page
from tfx_loop.presentation.svg import apart, decimals, ticks


def shown(**changes: object) -> str:
    return render_page(read_report(**{**page_inputs(), **changes}))


def path_of(page: str, policy: str) -> str:
    """The first line of a policy: the plot of the AUC comes first."""
    found = re.search(rf'<path d="([^"]*)" class="line {policy}"', page)
    return found.group(1) if found else ""


def test_page_shows_each_measured_auc() -> None:
    inputs = page_inputs()
    page = render_page(read_report(**inputs))
    for window in inputs["summary"]["windows"][:-1]:
        for name, policy in [("the loop", "loop"), ("left alone", "left_alone")]:
            assert f"{window['window']}, {name}: AUC {window['auc'][policy]:.4f}" in page


def test_newest_window_without_labels_is_a_gap_and_not_a_zero() -> None:
    page = shown()
    assert "2013-12, the loop: AUC" not in page
    assert len(re.findall("[ML]", path_of(page, "loop"))) == len(MONTHS) - 1


def test_missing_window_breaks_the_line() -> None:
    inputs = page_inputs()
    inputs["summary"]["windows"][4]["auc"]["loop"] = None
    assert path_of(render_page(read_report(**inputs)), "loop").count("M") == 2


def test_higher_auc_is_drawn_higher() -> None:
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path_of(shown(), "loop"))]
    aucs = [w["auc"]["loop"] for w in page_inputs()["summary"]["windows"][:-1]]
    assert heights.index(min(heights)) == aucs.index(max(aucs))
    assert heights.index(max(heights)) == aucs.index(min(aucs))


def test_text_from_outside_is_escaped() -> None:
    inputs = page_inputs()
    evil = '<script>alert("x")</script>'
    inputs["summary"]["windows"][0]["reason"] = evil
    inputs["summary"]["windows"][1]["drifted"] = [evil]
    first, decision = inputs["drift"][0], inputs["decisions"][0]
    odd = replace(first.features[0], feature=evil)
    inputs["drift"][0] = replace(first, features=(odd, *first.features[1:]))
    inputs["decisions"][0] = replace(decision, explanation=evil)
    inputs["timings"].append((evil, 1.0))
    inputs["explanation"] = evil
    assert "<script" not in render_page(read_report(**inputs))


@pytest.mark.parametrize("missing", [{}, {"auc": None, "log_loss": None, "version": None}])
def test_windows_without_any_quality_are_shown_all_the_same(missing: dict[str, object]) -> None:
    windows = [{"window": "w1", "rows": 7, **missing}]
    page = shown(summary={"rows": 7, "seconds": 1.0, "windows": windows}, drift=[], decisions=[],
                 timings=[], explanation="")  # fmt: skip
    assert "no labels have arrived" in page
    assert "w1" in page
    assert "None" not in page


def test_page_without_windows_renders() -> None:
    page = shown(summary={"rows": 0, "seconds": 0.0, "windows": []}, drift=[], decisions=[])
    assert page.rstrip().endswith("</html>")


def test_page_needs_no_network_and_stays_small() -> None:
    page = shown()
    assert "http" not in page
    assert "<script" not in page
    assert len(page.encode()) < 500_000


def test_drifted_cells_are_framed_and_faults_named() -> None:
    page = shown()
    inputs = page_inputs()["drift"]
    drifted = sum(f.drifted and not f.fault for r in inputs for f in r.features)
    in_legend = 1
    assert page.count('class="cell drifted"') == drifted + in_legend
    assert "precip, 2013-09: stuck value" in page


def test_the_map_is_of_all_rows_and_not_of_a_slice() -> None:
    drift = page_inputs()["drift"]
    sliced = [
        replace(
            report,
            features=(
                *report.features,
                *(
                    replace(feature, slice="origin=JFK", drifted=True, psi_corrected=9.9)
                    for feature in report.features
                ),
            ),
        )
        for report in drift
    ]
    assert shown(drift=sliced) == shown()


def test_saving_carries_over_within_a_version_only() -> None:
    page = shown()
    assert "2013-05: 0.0240 accumulated, 0.0200 of it new" in page
    assert "2013-06: 0.0060 accumulated, 0.0060 of it new" in page


def test_same_run_gives_the_same_bytes() -> None:
    assert shown() == shown()


@pytest.mark.parametrize(
    ("low", "high"), [(0.66, 0.73), (0.0, 0.0), (0.5, 0.5), (-3.2, 11.0), (0.0, 1e-9)]
)
def test_ticks_cover_the_values(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert marks[0] <= low
    assert marks[-1] >= high
    assert 2 <= len(marks) <= 8
    assert decimals(marks) < 8


def test_labels_keep_their_order_and_distance() -> None:
    placed = apart([100.0, 101.0, 40.0], 17)
    assert placed[2] == 40.0
    assert placed[1] - placed[0] == pytest.approx(17)
