"""The `anode` command: what commands there are, and how each of them ends.

A command's module is imported only when that command runs, so that `anode --help` and shell completion stay
fast. Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 refused (by a policy or a peer), 4 somebody
could not be reached, 130 interrupted.
"""

from collections.abc import Sequence

from cyclopts import App, CycloptsError

from connector import __version__
from connector.cli import output
from connector.errors import AnodeError

_HELP = """A data-space connector that understands battery passports.

Start with `anode init --local`, or watch five operators trade: `anode demo`."""

_EXIT_CODES = """Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 refused by a policy or a peer,
4 could not be reached."""

_COMMANDS = {
    "init": ("init:init", "Make a node: settings, keys, token, folders. Never overwrites."),
}
_GROUPS = {
    "config": (
        "Look at the settings.",
        {
            "check": ("settings:check", "Say whether the settings are right: every mistake with its line."),
            "show": ("settings:show_settings", "Show what holds, and where it is set."),
        },
    ),
}


def app() -> App:
    """The command line's grammar."""
    root = App(
        name="anode",
        help=_HELP,
        help_format="plaintext",
        help_epilogue=_EXIT_CODES,
        version=__version__,
        exit_on_error=False,
        print_error=False,
        help_on_error=False,
        result_action="return_value",
    )
    for name, (target, text) in _COMMANDS.items():
        root.command(f"connector.cli.{target}", name=name, help=text)
    for group, (group_text, commands) in _GROUPS.items():
        sub = App(name=group, help=group_text)
        for name, (target, text) in commands.items():
            sub.command(f"connector.cli.{target}", name=name, help=text)
        root.command(sub)
    return root


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. Expected errors are a line each on stderr, never a traceback."""
    as_json = "--json" in arguments
    try:
        result = app()(list(arguments))
    except CycloptsError as problem:
        reason = " ".join(str(problem).split())
        return output.fail([f"{reason} See `{_help_for(arguments)}`."], "usage", as_json=as_json)
    except AnodeError as problem:
        return output.fail(problem.reasons, problem.code, as_json=as_json)
    except KeyboardInterrupt:
        return output.INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        return output.OK
    return result if isinstance(result, int) else output.OK


def _help_for(arguments: Sequence[str]) -> str:
    words = list(arguments[:2])
    if words and words[0] in _COMMANDS:
        return f"anode {words[0]} --help"
    if words and words[0] in _GROUPS:
        known = words[1:] and words[1] in _GROUPS[words[0]][1]
        return f"anode {' '.join(words if known else words[:1])} --help"
    return "anode --help"
