"""`anode key …`: the participant's keys. The commands change files; a running node then reads them anew."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from connector.cli import output
from connector.cli.api import Api
from connector.cli.output import COMMON, Common
from connector.errors import Unavailable
from connector.vc import keyring, keys, keystore, multikey

_KindArgument = Annotated[
    Literal["P-256", "Ed25519"] | None,
    Parameter(
        show_default=False,
        help="P-256 speaks for the participant, Ed25519 signs documents. Without: each kind gets a new key.",
    ),
]


def list_keys(*, common: Common = COMMON) -> int:
    """List the participant's keys: which signs, which still speaks, which is past."""
    config = common.settings()
    store = keystore.configured(config)
    ring, now = store.ring(), time.time()
    value = [_entry(ring, entry, now) for entry in ring]
    rows = [(e["name"], e["kind"], e["place"], e["state"], e["since"], e["until"] or "") for e in value]
    output.show(common, value, output.table(rows, "key", "kind", "in", "state", "signs from", "until"))
    return output.OK


def rotate(
    kind: _KindArgument = None,
    *,
    now: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Sign with the new key at once. Peers that know the old keys only may refuse some messages.",
        ),
    ] = False,
    label: Annotated[
        str | None,
        Parameter(
            show_default=False,
            help="Take the key that the PKCS #11 token has under this label; name its kind.",
        ),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Make new keys. Each is published at once and signs after `keys.announced`; the old one speaks on for
    `keys.overlap`, and what it has signed verifies beyond that.
    """
    if label is not None and kind is None:
        raise output.Usage("rotate: say which kind of key --label names: P-256 or Ed25519")
    config = common.settings()
    store = keystore.configured(config)
    began, lead = time.time(), 0.0 if now else config.keys.announced
    kinds: list[multikey.Kind] = [kind] if kind else list(keys.FIRST)
    made = store.rotate(kinds, began, lead=lead, overlap=config.keys.overlap, label=label)
    taken_up = _reload(common)
    ring = store.ring()
    lines = [
        f"{entry.name} ({entry.kind}) signs {'now' if now else f'from {_moment(entry.signs_from)}'}"
        for entry in made
    ]
    value = {"keys": [_entry(ring, entry, began) for entry in made], "taken_up": taken_up}
    output.show(common, value, "\n".join([*lines, _next(taken_up)]))
    return output.OK


def retire(
    name: Annotated[str, Parameter(help="The key, as `anode key list` names it.")], *, common: Common = COMMON
) -> int:
    """Take back a key that may be in wrong hands: nothing that it has signed counts from now on.

    If it is the one that signs, another signs at once.
    """
    store = keystore.configured(common.settings())
    successor = store.retire(name, time.time())
    taken_up = _reload(common)
    lines = [f"{name} is retired"]
    if successor is not None:
        lines.append(f"{successor.name} ({successor.kind}) signs now")
    value = {"retired": name, "signs": successor.name if successor else None, "taken_up": taken_up}
    output.show(common, value, "\n".join([*lines, _next(taken_up)]))
    return output.OK


def add(
    name: Annotated[str, Parameter(help="What the issuer is called in the VC API.")],
    *,
    kind: Annotated[Literal["Ed25519", "P-256", "P-384"], Parameter(help="The kind of its key.")] = "Ed25519",
    common: Common = COMMON,
) -> int:
    """Make a key that issues credentials under a did:key of its own."""
    store = keystore.configured(common.settings())
    did, path = store.add_issuer(name, kind)
    taken_up = _reload(common)
    value = {"did": did, "file": str(path), "taken_up": taken_up}
    output.show(common, value, f"made {output.shown(path)}\n{did}\n{_next(taken_up)}")
    return output.OK


def encrypt(
    *,
    former: Annotated[
        Path | None,
        Parameter(
            show_default=False,
            help="The file with the passphrase that all keys are under now, to put them under the new one.",
        ),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Encrypt the files of keys that stand there in the clear: under `keys.passphrase_file`."""
    store = keystore.configured(common.settings())
    done = [output.shown(path) for path in store.encrypt(former)]
    output.show(common, {"encrypted": done}, "\n".join(f"encrypted {path}" for path in done) or "all are")
    return output.OK


def _entry(ring: keyring.Ring, entry: keyring.Entry, now: float) -> dict[str, Any]:
    """An entry as it is shown. `until`: when it stops to speak, or when it was retired."""
    until = entry.retired if entry.retired is not None else keyring.speaks_until(ring, entry)
    return {
        "name": entry.name,
        "kind": entry.kind,
        "place": entry.place,
        "state": keyring.state(ring, entry, now),
        "since": _moment(entry.signs_from) if entry.signs_from else "the beginning",
        "until": None if until is None else _moment(until),
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _reload(common: Common) -> bool:
    """Have the node read its keys anew, if it runs; whether it does."""
    try:
        Api.of(common).post("/reload", {})
    except Unavailable:
        return False
    return True


def _next(taken_up: bool) -> str:
    return "the running node has taken it up" if taken_up else "the node does not run; it starts with this"
