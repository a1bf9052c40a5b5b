"""`anode policy …`: whether policies are right, what they say, what they decide, and what changed."""

import codecs
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from connector.cli import output
from connector.cli.output import COMMON, Common
from connector.errors import InvalidFile, NotFound, RemoteProtocolError

if TYPE_CHECKING:
    from connector.odrl.authoring import Authored

Files = Annotated[
    Path,
    Parameter(show_default=False, help="Files, or folders of *.yaml. Else the policies of this node."),
]
Only = Annotated[
    str | None,
    Parameter(name=["--policy", "-p"], show_default=False, help="Only the policy with this id."),
]


def check(*files: Files, common: Common = COMMON) -> int:
    """Say whether policies are right: every mistake with its line.

    Each is also written as ODRL, expanded as a peer would read it, and compared with what came back. One that
    has ended is right, and is noted.
    """
    policies = _load(files, common)
    problems = [f"{p.place}: policy {p.id}: {problem}" for p in policies.values() for problem in _proof(p)]
    if problems:
        raise InvalidFile(*problems)
    if not policies:
        raise InvalidFile("There is no policy here: name a file, or a folder with *.yaml in it.")
    for policy in policies.values():
        if policy.ended(time.time()):
            output.note(common, output.plain(f"{policy.place}: policy {policy.id}: has ended"))
    value = {"ok": True, "policies": sorted(policies), "cases": sum(len(p.cases) for p in policies.values())}
    output.show(common, value, f"{_count(len(policies), 'policy', 'policies')} right: {', '.join(policies)}")
    return output.OK


def explain(*files: Files, policy: Only = None, common: Common = COMMON) -> int:
    """Say what policies mean, and for each term whether it is enforced or only agreed."""
    from connector.odrl import proof
    from connector.odrl.matrix import matrix

    chosen = _chosen(_load(files, common), policy)
    texts, values = [], []
    for found in chosen.values():
        rows = [("offer", row) for row in matrix(found.access)]
        rows += [("contract", row) for row in matrix(found.contract)]
        terms = [(of, row.says, row.how) for of, row in rows]
        table = output.table(terms, "of the", "term", "what becomes of it")
        texts.append(f"{output.style(found.id, '1')}\n{found.sentence}\n\n{table}")
        values.append(
            {
                "id": found.id,
                "sentence": found.sentence,
                "matrix": [
                    {"of": of, "term": row.says, "class": row.enforcement, "how": row.how, "path": row.path}
                    for of, row in rows
                ],
                "access": proof.document(found.access),
                "contract": proof.document(found.contract),
            }
        )
    output.show(common, values, "\n\n".join(texts))
    return output.OK


def run_cases(*files: Files, policy: Only = None, common: Common = COMMON) -> int:
    """Run the cases of policies: what must come out, from which facts."""
    from connector.odrl.authoring import cases

    chosen = _chosen(_load(files, common), policy)
    results = [(found, result) for found in chosen.values() for result in cases.run(found)]
    failed = [(found, result) for found, result in results if result.says]
    without = [found.id for found in chosen.values() if not found.cases]
    value = {
        "ok": not failed,
        "without_cases": without,
        "cases": [
            {
                "policy": found.id,
                "at": str(result.case.place),
                "expected": result.case.expect,
                "outcome": result.outcome,
                "reasons": list(result.reasons),
                "ok": not result.says,
            }
            for found, result in results
        ],
    }
    lines = [f"{result.case.place}: {found.id}: {result.says}" for found, result in failed]
    lines += [f"{found.place}: {found.id}: has no cases" for found in chosen.values() if not found.cases]
    lines.append(
        f"{len(results) - len(failed)} of {_count(len(results), 'case', 'cases')} came out as expected"
    )
    output.show(common, value, "\n".join(map(output.plain, lines)))
    return output.FAILED if failed else output.OK


def diff(
    old: Annotated[Path, Parameter(help="The file as it was, or a folder.")],
    new: Annotated[Path, Parameter(help="The file as it is to be, or a folder.")],
    *,
    common: Common = COMMON,
) -> int:
    """Say what changes between two versions of policies: who gains what, who loses what."""
    from connector.odrl import authoring, difference

    before, after = (authoring.load([path]) for path in (old, new))
    found = [c for id_ in before | after for c in difference.changes(before.get(id_), after.get(id_))]
    value = [{"policy": c.policy, "effect": c.effect, "who": c.who, "what": c.what} for c in found]
    rows = [(c.policy, c.effect, c.who, c.what) for c in found]
    text = output.table(rows, "policy", "effect", "who", "what") if rows else "nothing changes"
    output.show(common, value, text)
    return output.OK


def import_(
    *files: Annotated[
        Path, Parameter(help="JSON-LD files: a policy or what holds some; an access policy may go along.")
    ],
    id_: Annotated[
        str | None, Parameter(name="--id", show_default=False, help="The policy's id. Else the file's name.")
    ] = None,
    common: Common = COMMON,
) -> int:
    """Turn ODRL or Catena-X policies into YAML. What can't be carried is said, and then it fails."""
    from connector.jsonld import documents
    from connector.odrl import importing

    if not files:
        raise output.Usage("import: name at least one JSON-LD file")
    read = []
    for path in files:
        try:
            # As what is signed: of a member that is there twice, one would be lost.
            body = path.read_bytes().removeprefix(codecs.BOM_UTF8)
            read.append(documents.signed(body, documents.MAX_BYTES, documents.MAX_DEPTH, "The file"))
        except OSError as problem:
            raise InvalidFile(f"{path}: can't be read: {problem.strerror}") from None
        except RemoteProtocolError as problem:
            raise InvalidFile(f"{path}: {problem}") from None
    try:
        found = importing.read(read, id_ or _id(files[0]))
    except RemoteProtocolError as problem:
        raise InvalidFile(f"{', '.join(map(str, files))}: {problem}") from None
    for text in found.notes:
        output.note(common, output.plain(text))
    for text in found.refused:
        output.note(common, output.plain(f"not usable yet: {text}"))
    value = {
        "yaml": found.text,
        "policies": found.policies,
        "lost": list(found.lost),
        "refused": list(found.refused),
        "notes": list(found.notes),
    }
    output.show(common, value, found.text.rstrip("\n"))
    for text in found.lost:
        output.note(common, output.style("lost: ", "31") + output.plain(text))
    return output.FAILED if found.lost else output.OK


def _load(files: tuple[Path, ...], common: Common) -> "dict[str, Authored]":
    from connector.odrl import authoring  # here: most commands need no policies

    return authoring.load(files or common.settings().policies)


def _chosen(policies: "Mapping[str, Authored]", policy: str | None) -> "Mapping[str, Authored]":
    if policy is None:
        return policies
    if policy not in policies:
        raise NotFound(f"There is no policy {policy}, only: {', '.join(policies) or 'none'}.")
    return {policy: policies[policy]}


def _proof(policy: "Authored") -> list[str]:
    """What a peer would read otherwise: of the contract, and of the conditions on who sees the offer."""
    from connector.odrl import proof

    seen = tuple(replace(rule, action="use") for rule in policy.access.permission)
    return [
        *proof.problems(policy.contract),
        *(f"offer: {problem}" for problem in proof.problems(replace(policy.access, permission=seen))),
    ]


def _id(path: Path) -> str:
    """An id for a policy from its file's name."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in path.stem.lower()).strip("-")
    return name[:50] or "imported"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
