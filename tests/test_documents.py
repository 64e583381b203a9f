"""README and docs name all that a user can reach, and what they name is there."""

import argparse
import ast
import dataclasses
import fnmatch
import re

import pytest
from documents import (
    ARCHITECTURE,
    COMPONENTS,
    DOCUMENTS,
    GATEWAY,
    MODEL_SERVER,
    README,
    ROOT,
    TUTORIAL,
    anchors,
    commands,
    fences,
    links,
    section,
    without_code,
)

import tfx_loop
from tests.architecture_sheet import floors, graph_of
from tfx_loop.deployment.gateway import flags as gateway_flags
from tfx_loop.deployment.model_server import flags
from tfx_loop.pipelines import config
from tfx_loop.pipelines.cli import main, reference
from tfx_loop.pipelines.control.settings import LoopSettings

ARTIFACTS = {
    "DriftReport",
    "EdgeTpuReport",
    "MembershipReport",
    "OptimizationReport",
    "PredictionLog",
    "ReferenceProfile",
    "RetrainDecision",
    "SkewReport",
}
READMES_MOST_LINES = 130


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    found = {option for action in shown for option in action.option_strings}
    return {option for option in found if option.startswith("--")} - {"--help"}


def test_the_artifacts_are_named():
    assert set(tfx_loop.__all__) >= ARTIFACTS
    assert words(COMPONENTS) >= ARTIFACTS


def test_the_readme_is_short():
    assert len(README.splitlines()) <= READMES_MOST_LINES


def test_the_loop_of_the_readme_is_the_one_that_the_tutorial_runs():
    """tests/e2e/test_your_own_pipeline.py runs that section's code."""
    (block,) = fences(README, "python")
    assert block in fences(section(TUTORIAL, "Your own pipeline"), "python")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_named_is_there(name):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", DOCUMENTS[name], re.MULTILINE)) <= targets


def test_every_make_target_stands_in_contributing():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert targets <= set(re.findall(r"`make ([a-z-]+)", DOCUMENTS["CONTRIBUTING.md"]))


def test_the_command_reference_is_what_the_parsers_say():
    assert DOCUMENTS["docs/cli.md"] == reference.render(), "Run `make docs-cli`."


def test_the_command_reference_has_every_option():
    for name, (_, parser) in reference.commands_of(main._parser()):
        text = section(DOCUMENTS["docs/cli.md"], f"loop {name}")
        assert set(re.findall(r"^\| `(--[\w-]+)", text, re.MULTILINE)) == options_of(parser)


def test_the_commands_that_are_shown_parse():
    parsers = {
        "loop": main._parser(),
        "loop-model-server": flags._parser(),
        "loop-gateway": gateway_flags._parser(),
    }
    shown = [words for text in DOCUMENTS.values() for words in commands(text)]
    ours = [words for words in shown if words[0] in parsers]
    assert {program for program, *_ in ours} == set(parsers)
    for program, *arguments in ours:
        parsers[program].parse_args(arguments)


SERVERS = [(MODEL_SERVER, flags._parser()), (GATEWAY, gateway_flags._parser())]


@pytest.mark.parametrize(("page", "parser"), SERVERS, ids=["model server", "gateway"])
def test_every_flag_of_a_server_stands_in_its_table(page, parser):
    rows = re.findall(r"^\| `(--\w+)` \|", page, re.MULTILINE)
    assert set(rows) == options_of(parser)


def shown_defaults(text: str) -> dict[str, str]:
    row = re.compile(r"^\| `(?:--)?(\w+)` \|\s*`?([^|`]*?)`?\s*\|", re.MULTILINE)
    return dict(row.findall(text))


@pytest.mark.parametrize(("page", "parser"), SERVERS, ids=["model server", "gateway"])
def test_flags_have_the_defaults_that_are_shown(page, parser):
    for action in parser._actions:
        if action.dest in (shown := shown_defaults(page)):
            default = "" if action.default is None else str(action.default)
            assert shown[action.dest] == default.removesuffix(".0"), action.dest


@pytest.mark.parametrize("settings", [LoopSettings, config.QualityGate, config.RetrainingSettings])
def test_every_setting_of_the_loop_stands_with_its_default(settings):
    shown = shown_defaults(section(TUTORIAL, "The loop"))
    for field in dataclasses.fields(settings):
        default = "" if field.default is dataclasses.MISSING else field.default
        assert shown[field.name] == str(getattr(default, "value", default))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name):
    folder, broken = (ROOT / name).parent, []
    for link in links(DOCUMENTS[name]):
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else ROOT / name
        document = DOCUMENTS.get(str(target.relative_to(ROOT)))
        if not target.exists() or (anchor and anchor not in anchors(document or "")):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_are_whole(name):
    """A blank line inside a table makes the rest of it render as raw pipes."""
    blocks = re.split(r"\n(?!\|)", without_code(DOCUMENTS[name]))
    for block in blocks:
        lines = block.splitlines()
        rows = [line for line in lines if line.startswith("|")]
        if rows:
            assert re.fullmatch(r"\|[\s:|-]+\|", rows[1] if len(rows) > 1 else ""), rows[0]


def python_blocks() -> list[tuple[str, str]]:
    return [(name, block) for name, text in DOCUMENTS.items() for block in fences(text, "python")]


def test_python_blocks_are_short_enough_to_be_read_and_import_by_our_name():
    blocks = python_blocks()
    assert {name for name, _ in blocks} >= {"README.md", "docs/tutorial.md"}
    for name, block in blocks:
        assert len(block.splitlines()) <= 50, name
        for node in ast.walk(ast.parse(block)):
            imported = node.module if isinstance(node, ast.ImportFrom) else ""
            assert (imported or "").split(".")[0] not in ("components", "pipelines"), name


def test_the_rooms_that_are_described_are_those_on_disk():
    described = set(re.findall(r"`((?:components|pipelines)(?:/\w+)*)`", ARCHITECTURE))
    assert sorted(room for room in described if not (ROOT / room).is_dir()) == []
    rooms = {path.parent for path in ROOT.glob("components/*/**/__init__.py")}
    themes = {f"components/{path.relative_to(ROOT / 'components').parts[0]}" for path in rooms}
    assert themes - {"components/pipelines"} <= described


def test_the_floors_of_the_picture_are_those_of_the_sheet():
    """So a room imports only what stands on floors below its own."""
    (picture,) = (block for block in fences(ARCHITECTURE, "text") if "0  core" in block)
    drawn = re.findall(r"^(\d)  (.+)$", picture, re.MULTILINE)
    assert [rooms.split(", ") for _, rooms in reversed(drawn)] == floors(graph_of())


def test_the_reason_codes_that_are_explained_stand_in_the_code():
    concepts = section(DOCUMENTS["docs/concepts.md"], "Verdicts and reason codes")
    named = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", concepts, re.MULTILINE)
    codes = {code for cell in named for code in re.findall(r"\w+", cell)}
    assert len(codes) > 60
    sources = [path.read_text() for path in (ROOT / "components").rglob("*.py")]
    sources += [path.read_text() for path in (ROOT / "pipelines").rglob("*.py")]
    written = set(re.findall(r'"([A-Za-z]\w*)"', "\n".join(sources)))
    assert codes - written == set()


def test_the_costs_of_the_policies_are_those_of_the_benchmark():
    results = (ROOT / "tests/benchmarks/decide/RESULTS.md").read_text()
    shown = section(DOCUMENTS["docs/benchmarks.md"], "Decisions").replace("**", "")
    # Today's run, and the one before it.
    today, before = results.split("The tables below are of the run of 22 November", maxsplit=1)
    for part, policies in ((today, 10), (before, 9)):
        measured: dict[str, list[str]] = {}
        for policy, cost in re.findall(
            r"^\| ([\w ,>]+?) \|.*\| \*\*([\d. ()]+)\*\* \|$", part, re.M
        ):
            measured.setdefault(policy, []).append(cost)
        assert len(measured) == policies
        for policy, costs in measured.items():
            assert f"| {policy} | {' | '.join(costs)} |" in shown


def test_each_threat_names_tests_that_are_there():
    """The last column: files of tests, makers of hostile files (some by `*`), make targets."""
    table = section((ROOT / "docs" / "security.md").read_text("utf-8"), "Threats")
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")]
    files = {path.name for path in (ROOT / "tests").rglob("*.py")}
    folders = {str(p.relative_to(ROOT)) for p in (ROOT / "tests").rglob("*") if p.is_dir()}
    makers = set[str]()
    for path in (ROOT / "tests" / "helpers").glob("hostile_*.py"):
        makers |= set(re.findall(r"^def ([a-z]\w+)\(folder", path.read_text("utf-8"), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert len(rows) > 15
    for who, what, _, tests in rows[1:]:
        named = re.findall(r"`([^`]+)`", tests)
        assert named or who.strip() == "Who", what
        for name in named:
            path = name.removeprefix("tests/helpers/").rpartition("/")[2]
            fits = [maker for maker in makers if fnmatch.fnmatchcase(maker, name)]
            known = path in files or name in folders or name.removeprefix("make ") in targets
            assert fits or known, f"{name}, of: {what}"
