"""What the page of a drift report says, whoever reads it and whatever the names are."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from drift_page_run import reference_profile, report_of, reports, rows

from tfx_loop.contracts import drift_report
from tfx_loop.contracts.drift_report import DRIFT_REPORT, TOGETHER, DriftVerdict, FeatureDrift
from tfx_loop.monitoring.drift.page import render
from tfx_loop.monitoring.drift.page.formatting import FAULTS, HELD, few, share


class Outline(HTMLParser):
    """Headings, texts, and whether every element is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts, self.tags = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def of(self, tag):
        return [text for found, text in self.texts if found == tag and text]


@pytest.fixture(scope="module")
def profile():
    return reference_profile()


@pytest.fixture(scope="module")
def chain(profile):
    return reports(profile)


def test_the_headline_is_the_verdict_in_a_sentence(chain):
    said = [Outline(render(made)).of("h1")[0] for made in chain]
    assert said[0].startswith("None of 4 features drifted")
    assert said[2] == "3 of 4 features drifted: weight, probability (answers) and colour"
    assert said[3] == "The data are broken: age is one value all along"


def test_slices_and_all_features_together_are_said_apart(chain):
    drifted = FeatureDrift(feature="x", type="numeric", p_value=0.0, drifted=True)
    whole = replace(drifted, drifted=False)
    for features, said in (
        ((drifted, replace(drifted, slice="a=1")), "1 of 1 features drifted: x"),
        ((whole, replace(drifted, slice="a=1")), "Drift in slices alone: x where a=1"),
        ((whole, replace(drifted, feature=TOGETHER)), "The features moved together, though none"),
    ):
        page = render(replace(chain[2], features=features))
        assert Outline(page).of("h1")[0].startswith(said)


def test_a_page_is_whole_html_without_script_or_network(chain):
    for made in chain:
        page = render(made)
        outline = Outline(page)
        names = {tag for tag, _ in outline.tags}
        assert not names & {"script", "iframe", "img", "object"}
        assert not re.search(r"https?://|@import|url\(", page)
        links = [attrs["href"] for tag, attrs in outline.tags if "href" in attrs]
        assert links == ["data:,"]


def test_broken_features_come_first_then_drifted_ones(chain):
    outline = Outline(render(chain[3]))
    kinds = [a["class"].split()[1] for t, a in outline.tags if t == "figure"]
    assert kinds[0] == "fault"
    assert kinds == sorted(kinds, key=["fault", "drift", "held", "quiet"].index)
    assert "What is broken" in outline.of("h2")
    assert "constant_value" in outline.of("code")


def test_names_from_the_data_are_text_and_not_html(chain):
    page = render(chain[2])
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    evil = '"><script>alert(1)</script>'
    features = (FeatureDrift(feature=evil, type=evil, fault=evil, note=evil, slice=evil),)
    page = render(
        replace(chain[0], features=features, window=evil, model_name=evil, settings={evil: evil})
    )
    assert "<script" not in page


def test_quality_is_shown_against_held_out_rows_and_over_windows(chain):
    outline = Outline(render(chain[3]))
    said = " ".join(outline.of("text"))
    auc = chain[3].estimated.metrics["auc"]
    assert f"held out {auc.reference:.3f}" in said
    assert f"{auc.low:.3f} to {auc.high:.3f}" in said
    dots = [a["class"] for t, a in outline.tags if t == "circle"]
    assert dots.count("dot realised") == 3 + 1
    notes = " ".join(outline.of("li"))
    assert "Corrected by labels of 3 earlier windows: what labels came to mean since" in notes
    assert "w3: 2,900 rows have labels, 97 % of the window" in notes
    assert "No rise of the errors is certain" in notes
    off = sum(abs(w.estimated["auc"][0] - 0.74) for w in chain[3].past[:3]) / 3
    assert f"off by {off:.3f} on average" in notes


def test_the_map_has_a_cell_for_each_feature_and_window(chain):
    page = render(chain[3])
    titles = re.findall(r"<title>(weight|age|colour|probability \(answers\)), (w\d)", page)
    assert len(set(titles)) == 4 * 4
    assert "age, w4: constant value" in page
    assert "Window by window" not in render(chain[0])


def test_earlier_reports_make_the_map_where_none_were_carried(chain):
    alone = [replace(made, past=()) for made in chain]
    assert "Window by window" not in render(alone[-1])
    page = render(alone[-1], alone[:-1])
    assert "weight, w1" in page
    assert "weight, w4" in page


def test_slices_are_a_map_of_their_own(chain):
    features = chain[2].features + tuple(
        FeatureDrift(
            feature="weight", type="numeric", psi_corrected=0.3, drifted=True, p_value=0.0,
            q_value=0.0, slice=f"colour={name}",
        )
        for name in ("red", "blue")
    )  # fmt: skip
    page = render(replace(chain[2], features=features))
    assert "Slice by slice" in page
    assert "weight, colour=red: PSI 0.300, drifted" in page


def test_what_was_held_back_names_its_rule(chain):
    held = FeatureDrift(
        feature="small", type="numeric", psi_corrected=0.004, psi_bound=0.011, p_value=1e-5,
        q_value=1e-4, held_by=drift_report.EFFECT_FLOOR,
    )  # fmt: skip
    outline = Outline(render(replace(chain[0], features=(held,))))
    assert "What was held back" in outline.of("h2")
    assert HELD[drift_report.EFFECT_FLOOR] in outline.of("td")


def test_what_a_season_held_back_says_how_far_it_goes_and_slices_come_last(chain):
    def held(slice_name=""):
        return FeatureDrift(
            feature="small", type="numeric", psi_corrected=0.2, psi_bound=0.3, p_value=1e-5,
            q_value=1e-4, held_by=drift_report.SEASON, slice=slice_name,
        )  # fmt: skip

    floors = {"small": 0.441, "small where site=south": 0.552}
    made = replace(
        chain[0],
        features=(held("site=south"), held()),
        settings={**chain[0].settings, "season_floors": floors},
    )
    page = render(made)
    assert page.index("0.441") < page.index("1 in slices") < page.index("0.552")


def test_every_fault_and_rule_has_words():
    from tfx_loop.monitoring.drift.data_faults import faults

    codes = {
        value
        for name, value in vars(faults).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    }
    assert codes == set(FAULTS)
    assert set(HELD) == {drift_report.EFFECT_FLOOR, drift_report.SEASON, drift_report.K_OF_N}


def test_an_empty_window_and_a_bare_report_have_a_page(chain):
    bare = replace(
        chain[0], features=(), shapes=(), estimated=None, realised=None, past=(), settings={},
        verdict=DriftVerdict.NOT_ENOUGH_DATA,
        explanation="No answered row in the window.",
    )  # fmt: skip
    outline = Outline(render(bare, title="a.csv against b.csv"))
    assert outline.of("h1") == ["No answered row in the window."]
    assert outline.of("h2") == ["Made with"]
    assert outline.of("title") == ["NOT_ENOUGH_DATA: a.csv against b.csv"]


def test_a_report_read_back_has_the_same_page(chain):
    content = json.loads(json.dumps(DRIFT_REPORT.content(chain[3])))
    assert render(DRIFT_REPORT.value(content)) == render(chain[3])


@pytest.mark.slow
def test_a_page_stays_small(profile):
    previous = None
    for number in range(30):
        previous = report_of(profile, f"w{number}", rows(300, number), previous)
    assert len(render(previous)) < 200_000
    assert len(json.dumps(DRIFT_REPORT.content(previous))) < 30_000


def test_numbers_read_as_people_write_them():
    assert [share(value) for value in (0.0, 0.0004, 0.051, 0.5, 0.999, 1.0)] == [
        "0 %", "< 0.1 %", "5.1 %", "50 %", "99.9 %", "100 %",
    ]  # fmt: skip
    assert few(["a"]) == "a"
    assert few(["a", "b"]) == "a and b"
    assert few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
