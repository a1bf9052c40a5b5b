"""The keys of this node while it runs: which of them signs now, who issues with them, what is published."""

from collections.abc import Callable, Iterator, Mapping

from connector.errors import NotFound
from connector.flows.credentials import Issuer, key_issuer
from connector.vc import did, keyring
from connector.vc.keyring import Ring
from connector.vc.keys import FIRST, Key
from connector.vc.keystore import Keystore
from connector.vc.multikey import Kind


class OwnKeys:
    """The participant's keys, read from where they are kept; `now` gives epoch seconds.

    Raises InvalidFile if they can't be had, here and in `reload`.
    """

    def __init__(self, store: Keystore, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self.issuers: Mapping[str, Issuer] = _Issuers(self)
        """Whom the node can issue as, by name, with the key that signs at the time of asking.

        The participant is called by its first key of a kind, through all rotations: its status lists are
        found under that name.
        """
        self.dids: dict[str, str] = {}
        """The DID of each issuer."""
        self.reload()

    def reload(self) -> None:
        """Read all keys anew. If that fails, those that were there are still there."""
        ring, now = self._store.ring(), self._now()
        found = [
            entry
            for kind in FIRST
            for entry in (keyring.signing(ring, kind, now), keyring.announced(ring, kind, now))
            if entry is not None
        ]
        held = {entry.name: self._store.key(entry) for entry in found}
        issuers = {name: key_issuer(signer) for name, signer in self._store.issuers().items()}
        self._ring: Ring = ring
        self._held = held
        self._others = issuers
        self.names: dict[str, Kind] = {}
        for entry in ring:
            if entry.kind not in self.names.values():
                self.names[entry.name] = entry.kind
        self.dids.clear()
        self.dids |= {name: issuer.did for name, issuer in issuers.items()}
        self.dids |= dict.fromkeys(self.names, self._store.did)
        self._settle(now)

    def close(self) -> None:
        """Let go of the token, if there is one."""
        self._store.close()

    def key(self, kind: Kind = "P-256") -> Key:
        """The key of a kind that signs now. Raises NotFound."""
        now = self._now()
        if now >= self._settled_until:
            self._settle(now)
        found = self._signing.get(kind)
        if found is None:
            raise NotFound(f"this node has no {kind} key; `anode init` makes one")
        return found

    def methods(self) -> list[did.Method]:
        """What our DID document says of our keys."""
        return keyring.methods(self._ring, self._store.did, self._now())

    def issuer(self, name: str) -> Issuer | None:
        """Whom the node issues as under `name`, with the key that signs now."""
        if name in self.names:
            key = self.key(self.names[name])
            return Issuer(self._store.did, key.kid, key.signer)
        return self._others.get(name)

    def all_names(self) -> list[str]:
        """The names of all issuers."""
        return [*self._others, *self.names]

    def _settle(self, now: float) -> None:
        self._signing: dict[Kind, Key] = {}
        self._settled_until = float("inf")
        for kind in FIRST:
            entry = keyring.signing(self._ring, kind, now)
            if entry is not None:
                self._signing[kind] = self._held[entry.name]
            coming = keyring.announced(self._ring, kind, now)
            if coming is not None:
                self._settled_until = min(self._settled_until, coming.signs_from)


class _Issuers(Mapping[str, Issuer]):
    """`OwnKeys.issuers`: looked up anew each time."""

    def __init__(self, own: OwnKeys) -> None:
        self._own = own

    def __getitem__(self, name: str) -> Issuer:
        found = self._own.issuer(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._own.all_names())

    def __len__(self) -> int:
        return len(self._own.all_names())
