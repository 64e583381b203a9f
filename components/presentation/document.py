"""HTML pages of one file: styles and plots inside, no script, no network."""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("page.css")


def document(title: str, header: str, sections: Iterable[str], style: str = "") -> str:
    """Returns a whole page.

    Args:
        title: What the browser's tab says.
        header: What `header` made.
        sections: What `section` made; empty ones are left out.
        style: CSS of this page's own plots, after the common one.
    """
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            # Otherwise a browser asks the server for /favicon.ico.
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE.read_text(encoding='utf-8')}{style}</style></head><body><main>",
            header,
            *(part for part in sections if part),
            "</main></body></html>\n",
        ]
    )


def header(kicker: str, headline: str, facts: Iterable[tuple[str, str]]) -> str:
    """Returns the top of a page: a line above, the headline, and (name, value) facts in a row."""
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts
    )
    return (
        f'<header><p class="kicker">{escape(kicker)}</p>'
        f'<h1>{escape(headline)}</h1><dl class="facts">{shown}</dl></header>'
    )


def section(title: str, lead: str, *body: str) -> str:
    """Returns a part with a heading; `lead` is a sentence under it, `body` is HTML already."""
    intro = f"<p>{escape(lead)}</p>" if lead else ""
    return f"<section><h2>{escape(title)}</h2>{intro}{''.join(body)}</section>"


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str] = ()
) -> str:
    """Returns a table that scrolls by itself when it is wider than the page.

    Args:
        headings: One a column.
        rows: Cells as plain text.
        numbers: Headings of the columns that are aligned right.
    """
    head = "".join(_cell("th", name, name in numbers) for name in headings)
    body = "".join(
        "<tr>"
        + "".join(
            _cell("td", value, name in numbers) for name, value in zip(headings, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(tag: str, value: str, number: bool) -> str:
    return f"<{tag}{' class=number' if number else ''}>{escape(value)}</{tag}>"
