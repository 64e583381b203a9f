"""How long labels are waited for: texts, and what they ask for."""

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control.label_timing import DEFAULT_LATE, LabelPatience, Labels, LabelWait

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "share", "windows", "seconds"),
    [
        (DEFAULT_LATE, 0.5, 3, None),
        ("until 80% are here", 0.8, 3, None),
        ("90 %, at most 1 window", 0.9, 1, None),
        ("until 90 % are here, at most 30d", 0.9, 3, 30 * 86_400),
        ("after 12h", 1.0, 3, 12 * 3600),
    ],
)
def test_texts_are_read(text, share, windows, seconds):
    found = Labels("labels", text).patience
    assert (found.min_share, found.max_windows, found.max_seconds) == (share, windows, seconds)
    assert LabelPatience.of_text(found.told) == found


@pytest.mark.parametrize(
    "text",
    ["", "soon", "until 150 % are here", "50 %, at most", "after lunch", "at most 3 windows"],
)
def test_a_text_that_says_nothing_is_refused(text):
    with pytest.raises(ConfigError, match="Expected"):
        Labels("labels", text)


def test_labels_without_a_folder_are_refused():
    with pytest.raises(ConfigError, match="folder"):
        Labels("")


def test_a_window_is_judged_when_enough_labels_came_or_it_waited_long_enough():
    patience = LabelPatience(min_share=0.5, max_windows=2)
    assert patience.waits(0.5, 0, 0) is LabelWait.ENOUGH
    assert patience.waits(0.49, 1, 9 * DAY_MS) is LabelWait.TO_COME
    assert patience.waits(0.0, 2, 0) is LabelWait.OVER
    assert patience.waits(None, 0, 0) is LabelWait.NO_TRAFFIC
    timed = LabelPatience(min_share=1.0, max_seconds=86_400)
    assert timed.waits(0.99, 9, DAY_MS - 1) is LabelWait.TO_COME
    assert timed.waits(0.99, 0, DAY_MS) is LabelWait.OVER
