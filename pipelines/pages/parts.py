"""Sections that the demo's page and the page of any model share."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from tfx_loop.pipelines.pages.content import WindowDecision, in_words
from tfx_loop.presentation.document import section

STYLE = Path(__file__).with_name("pages.css")


def told_in_words(decisions: Sequence[WindowDecision]) -> str:
    """Returns a section of one sentence a decision; empty where there is none."""
    if not decisions:
        return ""
    items = "".join(
        f'<li class="{escape(each.verdict.lower())}"><b>{escape(each.window)} '
        f"{escape(each.verdict)}</b> {escape(each.explanation or in_words(each.reason))}</li>"
        for each in decisions
    )
    return section("Why, in words", "", f'<ul class="why">{items}</ul>')
