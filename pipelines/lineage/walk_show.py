"""Walks along the lineage as text, as Graphviz's dot, and as a page."""

from collections import defaultdict
from html import escape

from tfx_loop.pipelines.lineage.show import iso
from tfx_loop.pipelines.lineage.walk import ARTIFACT, EXECUTION, FILE, Walk, WalkNode
from tfx_loop.presentation.document import document, header, section, table

_SHAPES = {ARTIFACT: "box", EXECUTION: "ellipse", FILE: "note"}


def as_text(walk: Walk, up: bool) -> str:
    """Returns a walk as a tree; what was shown above is named again, and not unfolded."""
    nodes = {node.id: node for node in walk.nodes}
    beyond: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for edge in walk.edges:
        here, there = (edge.target, edge.source) if up else (edge.source, edge.target)
        beyond[here].append((there, edge.key))
    lines: list[str] = []
    shown: set[str] = set()
    # By hand, and not by recursion: a lineage of years is deeper than Python's stack.
    ahead = [(start, "", 0) for start in reversed(walk.starts)]
    while ahead:
        number, key, depth = ahead.pop()
        again = number in shown and bool(beyond[number])
        name = f"{key}: " if key and nodes[number].kind == ARTIFACT else ""
        lines.append(f"{'  ' * depth}{name}{_told(nodes[number])}{' (see above)' if again else ''}")
        if not again:
            shown.add(number)
            ahead += [(there, k, depth + 1) for there, k in reversed(beyond[number])]
    if walk.left_out:
        lines.append(f"{walk.left_out} more beyond the depth")
    return "\n".join(lines)


def as_dot(walk: Walk) -> str:
    """Returns a walk in the language of Graphviz, data from left to right."""
    lines = ["digraph lineage {", "  rankdir=LR;"]
    for node in walk.nodes:
        label = "\\n".join(part for part in (node.type, node.label) if part)
        start = ", style=bold" if node.id in walk.starts else ""
        lines.append(
            f"  {_quoted(node.id)} [shape={_SHAPES[node.kind]}, label={_quoted(label)}{start}];"
        )
    for edge in walk.edges:
        label = f" [label={_quoted(edge.key)}]" if edge.key else ""
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)}{label};")
    return "\n".join([*lines, "}"])


def as_page(walk: Walk, named: str, up: bool, store: str) -> str:
    """Returns a walk as a page of one file: the tree to fold, and all of it as a table."""
    way = "What it was made from" if up else "What was made from it"
    count = {kind: sum(node.kind == kind for node in walk.nodes) for kind in _SHAPES}
    rows = [
        (node.type, node.label, node.run_id, iso(node.at_ms) if node.at_ms else "", node.uri)
        for node in walk.nodes
    ]
    facts = [
        ("artifacts", str(count[ARTIFACT])),
        ("executions", str(count[EXECUTION])),
        ("raw files", str(count[FILE])),
    ]
    return document(
        f"Lineage of {named}",
        header(f"tfx-loop · {store}", f"{way}: {named}", facts),
        [
            section("Step by step", "", _folded(walk, up)),
            section(
                "All of it",
                "Times are the store's, in UTC.",
                table(("type", "name", "run", "recorded", "where"), rows),
            ),
        ],
        style=_STYLE,
    )


_STYLE = """
.tree, .tree ul { list-style: none; margin: 0; padding: 0 0 0 18px;
  border-left: 1px solid var(--rule); }
.tree { padding-left: 0; border-left: 0; overflow-wrap: anywhere; font-size: 15px; }
.tree li { padding: 3px 0; }
.tree b { font-weight: 620; } .tree small { color: var(--soft); font-size: 13px; }
.tree .execution b { font-weight: 500; color: var(--loop); }
summary { cursor: pointer; }
td:last-child { overflow-wrap: anywhere; }
"""
# Nested lists deeper than this are flat below: browsers stop unfolding elements at some 500.
_DEEPEST = 60


def _folded(walk: Walk, up: bool) -> str:
    nodes = {node.id: node for node in walk.nodes}
    beyond: dict[str, list[str]] = defaultdict(list)
    for edge in walk.edges:
        here, there = (edge.target, edge.source) if up else (edge.source, edge.target)
        beyond[here].append(there)
    shown: set[str] = set()

    def item(number: str, depth: int) -> str:
        node = nodes[number]
        told = (
            f"<b>{escape(node.type)}</b> {escape(node.label if node.label != node.type else '')} "
            f"<small>{escape(node.run_id)}</small>"
        )
        again, below = number in shown, beyond[number]
        shown.add(number)
        if again or not below or depth > _DEEPEST:
            more = " <small>(see above)</small>" if again and below else ""
            return f'<li class="{node.kind}">{told}{more}</li>'
        inside = "".join(item(there, depth + 1) for there in below)
        unfolded = " open" if depth < 6 else ""
        return (
            f'<li class="{node.kind}"><details{unfolded}><summary>{told}</summary>'
            f"<ul>{inside}</ul></details></li>"
        )

    return f'<ul class="tree">{"".join(item(start, 0) for start in walk.starts)}</ul>'


def _told(node: WalkNode) -> str:
    if node.kind == FILE:
        return f"file {node.uri}"
    if node.kind == EXECUTION:
        state = "" if node.state in ("COMPLETE", "CACHED") else f" {node.state}"
        return f"{node.label} in {node.run_id or 'the loop'}{state}"
    label = f" {node.label}" if node.label else ""
    return f"{node.type}{label} ({node.uri or 'no file'}) [artifact {node.id[1:]}]"


def _quoted(text: str) -> str:
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\\\\n", "\\n")
    return f'"{inside}"'
