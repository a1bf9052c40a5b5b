"""The `anode` command: what commands there are, and how each of them ends.

A command's module is imported only when that command runs, so that `anode --help` and shell completion stay
fast. Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 refused (by a policy or a peer), 4 somebody
could not be reached, 130 interrupted.
"""

from collections.abc import Sequence

from cyclopts import App, CycloptsError, UnusedCliTokensError

from connector import __version__
from connector.cli import output
from connector.errors import AnodeError

_HELP = """A data-space connector that understands battery passports.

Start with `anode init --local`, or watch five operators trade: `anode demo`."""

_EXIT_CODES = """Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 refused by a policy or a peer,
4 could not be reached."""

_Commands = dict[str, tuple[str, str]]
"""Name → `module:function` in this package, and what it does."""

_COMMANDS: _Commands = {
    "init": ("init:init", "Make a node: settings, keys, token, folders. Never overwrites."),
    "serve": ("serve:serve", "Run the node."),
    "demo": ("demo:demo", "Watch five operators trade real battery passports, on this machine."),
    "publish": ("catalog:publish", "Publish a dataset in the running node."),
    "negotiate": ("trade:negotiate", "Ask a peer for a contract about one of its datasets."),
    "fetch": ("trade:fetch", "Get a dataset: catalog, negotiation, transfer, file."),
    "status": ("status:status", "Show how the node is, or the timeline of one process."),
    "why": ("why:why", "Say why a negotiation, a transfer or a request was decided as it was."),
    "doctor": ("doctor:doctor", "Look for what is wrong with this node, and say how to mend it."),
}
_GROUPS: dict[str, tuple[str, _Commands]] = {
    "catalog": (
        "What peers offer, and what this node offers.",
        {
            "show": ("catalog:show", "Show what a peer offers this node."),
            "list": ("catalog:list_own", "List the datasets of this node."),
            "withdraw": ("catalog:withdraw", "Take a dataset out of the catalog."),
        },
    ),
    "negotiation": (
        "Negotiations under way and done. A node conducts them by itself; here is a hand in it.",
        {
            "list": ("processes:list_negotiations", "List negotiations, newest first."),
            "show": ("processes:show_negotiation", "Show a negotiation: steps, terms, what comes next."),
            "counter": ("processes:counter", "Counter with other terms."),
            "accept": ("processes:accept", "Accept the provider's offer."),
            "agree": ("processes:agree", "Agree to what the consumer asks for."),
            "verify": ("processes:verify", "Confirm the provider's agreement."),
            "finalize": ("processes:finalize", "Bring the agreement into force."),
            "approve": ("processes:approve", "Approve what waits for your review."),
            "reject": ("processes:reject", "Reject what waits for your review."),
            "terminate": ("processes:end_negotiation", "End a negotiation without an agreement."),
        },
    ),
    "agreement": (
        "Contracts.",
        {
            "list": ("processes:list_agreements", "List agreements, newest first."),
            "show": ("processes:show_agreement", "Show an agreement, and what its policy says."),
            "retire": ("duty:retire", "End an agreement before its time, and tell the other side."),
        },
    ),
    "duty": (
        "What agreements oblige to: due, fulfilled with evidence, or breached.",
        {
            "list": ("duty:list_duties", "List the duties of agreements: ours, and those of others."),
            "show": ("duty:show", "Show a duty: whose, until when, what happened."),
            "fulfil": ("duty:fulfil", "Say that a duty was done, with signed evidence."),
        },
    ),
    "transfer": (
        "Transfers under way and done.",
        {
            "list": ("processes:list_transfers", "List transfers, newest first."),
            "show": ("processes:show_transfer", "Show a transfer: steps, what comes next."),
            "start": ("processes:start", "Start a transfer, or resume it."),
            "suspend": ("processes:suspend", "Suspend a transfer."),
            "complete": ("processes:complete", "Say that all data has been transferred."),
            "terminate": ("processes:end_transfer", "End a transfer at once."),
        },
    ),
    "credential": (
        "Credentials: what this participant holds and asks for, and what this node issues.",
        {
            "list": (
                "credential:list_all",
                "List what is held and asked for, what waits here and was issued.",
            ),
            "show": ("credential:show", "Show a credential, or how a request stands."),
            "request": ("credential:request", "Ask an issuer for credentials, or what it gives."),
            "issue": ("credential:issue", "Issue credentials: what a request asks for, or unasked."),
            "reject": ("credential:reject", "Refuse a request, and tell its holder why."),
            "revoke": ("credential:revoke", "Revoke what this node has issued: for ever."),
            "suspend": ("credential:suspend", "Suspend what this node has issued."),
            "reinstate": ("credential:reinstate", "Make what was suspended valid again."),
            "verify": ("credential:verify", "Look at a credential or presentation, check by check."),
            "drop": ("credential:drop", "Remove a credential from this node's wallet."),
        },
    ),
    "key": (
        "The participant's keys.",
        {
            "list": ("key:list_keys", "List the keys: which signs, which still speaks, which is past."),
            "rotate": ("key:rotate", "Make new keys; the old ones go on for a while."),
            "retire": ("key:retire", "Take back a key that may be in wrong hands."),
            "add": ("key:add", "Make a key that issues credentials under a did:key of its own."),
            "encrypt": ("key:encrypt", "Encrypt the files of keys that stand there in the clear."),
        },
    ),
    "policy": (
        "Policies: whether they are right, what they say, what they decide.",
        {
            "check": ("policy:check", "Say whether policies are right: every mistake with its line."),
            "explain": (
                "policy:explain",
                "Say what policies mean, and for each term whether it is enforced or only agreed.",
            ),
            "test": ("policy:run_cases", "Run the cases of policies: what must come out, from which facts."),
            "diff": ("policy:diff", "Say what changes between two versions: who gains and who loses what."),
            "whatif": ("why:whatif", "Say which past answers would be others by changed policies."),
            "import": ("policy:import_", "Turn ODRL or Catena-X policies into YAML."),
        },
    ),
    "config": (
        "Look at the settings.",
        {
            "check": (
                "settings:check",
                "Say whether settings, and the files they name, are right: every mistake with its line.",
            ),
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
    except UnusedCliTokensError as problem:
        extra = " ".join(problem.unused_tokens or [])
        reason = f"{extra}: not expected here; see `{_help_for(arguments)}` for what is."
        return output.fail([reason], "usage", as_json=as_json)
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
