"""README.md and docs/ as the tests read them: sections, fences, links."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
}
README = DOCUMENTS["README.md"]
ARCHITECTURE = DOCUMENTS["docs/architecture.md"]
COMPONENTS = DOCUMENTS["docs/components.md"]
MODEL_SERVER = DOCUMENTS["docs/model-server.md"]
GATEWAY = DOCUMENTS["docs/gateway.md"]
TUTORIAL = DOCUMENTS["docs/tutorial.md"]


def section(text: str, title: str) -> str:
    """Returns what stands under a heading, up to the next of its level or a higher one."""
    heading = re.search(rf"^(#+) {re.escape(title)}\n", without_code(text), re.MULTILINE)
    assert heading, f"No section {title!r}"
    rest = text[heading.end() :]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", without_code(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def without_code(text: str) -> str:
    """Returns the text with its fenced blocks blanked, at the same length."""
    return re.sub(r"^```.*?^```$", lambda m: "·" * len(m[0]), text, flags=re.MULTILINE | re.DOTALL)


def fences(text: str, language: str) -> list[str]:
    """Returns the contents of the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Returns the commands of a document's shell blocks, as words; a backslash continues a line."""
    lines = "".join(fences(text, "sh")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def anchors(text: str) -> set[str]:
    """Returns the anchors of a document's headings, as GitHub and MyST make them."""
    titles = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(text: str) -> list[str]:
    """Returns the targets of a document's links and pictures that are not on the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", without_code(text))
    return [target for target in found if not re.match(r"https?:", target)]
