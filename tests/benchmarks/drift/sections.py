"""Sections of RESULTS.md: each drift benchmark replaces its own."""

from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
_TITLE = "# Drift monitoring, measured\n"


def write_section(name, text, path=RESULTS):
    """Replaces what stands between the section's marks, or appends it."""
    content = path.read_text() if path.exists() else _TITLE
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{start}\n{text.strip()}\n{end}\n"
    if start in content and end in content:
        before, rest = content.split(start, 1)
        content = before + section + rest.split(end, 1)[1].lstrip("\n")
    else:
        content = f"{content.rstrip()}\n\n{section}"
    path.write_text(content)


def table(heads, rows):
    """Returns a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
