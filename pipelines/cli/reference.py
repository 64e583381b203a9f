"""docs/cli.md, the reference of the commands, written from the argument parsers.

`make docs-cli` writes the page and a test compares it with the parsers. The tables are made here
rather than taken from argparse's own help, whose wording differs between versions of Python.
"""

import argparse
import textwrap

from tfx_loop.pipelines import config
from tfx_loop.pipelines.cli import main

_HEAD = """\
# The command line

Written by `make docs-cli` from the argument parsers. `loop COMMAND --help` prints the same.

Exit status:

- 0: success, and no alarm; a WARN of `loop faults`, too, whose push would go on
- 1: an error, told in one line on standard error
- 2: wrong arguments
- 3: the command did its work and the answer wants attention: an alarm of `loop monitor` or
  `loop skew`, a finding of `loop scan`, a BLOCK of `loop faults`, no variant within the budget of
  `loop compress`
- 4: the command did its work and there were too few rows for an answer: NOT_ENOUGH_DATA of
  `loop monitor`, `loop skew` or `loop faults`
- 130: interrupted

So `loop monitor … && deploy` goes on after STABLE alone.

With `--json` an error is an object on standard output, too, the same of every command, beside the
line on standard error:

```json
{"error": {"kind": "DataError", "message": "Expected …, received …. …", "exit_code": 1}}
```

`kind` is the class of the error (`DataError`, `ConfigError`, `ModelError`, …), `UsageError` for
wrong arguments, `OSError` for what the system refuses.

In a terminal, tables are coloured and as wide as the window, and long work shows bars; a pipe gets
plain text. `loop --version` prints the version.
"""


def render() -> str:
    """Returns the page as Markdown."""
    commands = commands_of(main._parser())
    listed = [f"- [`loop {name}`](#loop-{name}): {summary}" for name, (summary, _) in commands]
    parts = [_command(name, summary, parser) for name, (summary, parser) in commands]
    text = "\n".join([_HEAD, *listed, "", *parts])
    # The default folder is absolute, and another one on every machine.
    return text.replace(str(config.output_folder()), "out")


def commands_of(
    parser: argparse.ArgumentParser,
) -> list[tuple[str, tuple[str, argparse.ArgumentParser]]]:
    """Returns each command of a parser with its one-line summary and its own parser, in order."""
    (found,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    summaries = {choice.dest: choice.help or "" for choice in found._choices_actions}
    return [(name, (summaries[name], command)) for name, command in found.choices.items()]


def _command(name: str, summary: str, parser: argparse.ArgumentParser) -> str:
    actions = [
        action
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction) and action.help != argparse.SUPPRESS
    ]
    rows = [f"| {_name(action)} | {_told(parser, action)} |" for action in actions]
    description = textwrap.dedent(parser.description or "").strip()
    description = description or f"{summary[:1].upper()}{summary[1:]}."
    return "\n".join(
        [
            f"## loop {name}",
            "",
            description,
            "",
            "```text",
            " ".join(["loop", name, *_synopsis(actions)]),
            "```",
            "",
            "| argument | |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def _synopsis(actions: list[argparse.Action]) -> list[str]:
    """Returns what has to be given, and that there is more."""
    positional = [a for a in actions if not a.option_strings]
    required = [a for a in actions if a.option_strings and a.required]
    words = [f"[{_value(a)}]" if a.nargs == "?" else _value(a) for a in positional]
    words += [f"{a.option_strings[0]} {_value(a)}" for a in required]
    return words + (["[OPTIONS]"] if len(actions) > len(positional) + len(required) else [])


def _name(action: argparse.Action) -> str:
    value = _value(action).replace("|", "\\|")
    if not action.option_strings:
        return f"`{value}`"
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    return names if action.nargs == 0 else f"{names[:-1]} {value}`"


def _value(action: argparse.Action) -> str:
    """Returns what stands for the value: its metavar, its choices or its name."""
    if action.choices and not action.metavar:
        value = "|".join(map(str, action.choices))
    else:
        value = str(action.metavar or action.dest.upper())
    return f"{value} ..." if action.nargs == "+" else value


def _told(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Returns the help with defaults filled in, and what argparse would not say."""
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    if action.option_strings and action.required:
        text += " (required)"
    if isinstance(action, argparse._AppendAction) and "repeat" not in text:
        text += "; may be repeated"
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    print(render(), end="")
