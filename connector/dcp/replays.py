"""Which one-time ids were used: the memory that makes a self-issued token good for one request only."""

from connector.errors import Unavailable, Untrusted


class Replays:
    """Remembers each (issuer, jti) until its token would be refused for its age anyway.

    Bounded, for all and for each issuer, so that one that signs without end locks out only itself. When full
    it refuses rather than forgets. Times are epoch seconds.
    """

    def __init__(self, per_issuer: int = 250_000, total: int = 500_000) -> None:
        self._per_issuer = per_issuer
        self._total = total
        self._count = 0
        # Hashes stand for the ids: a stranger chooses their length. Two ids of one issuer that collide (1 in
        # 2^64 for a pair, and nobody else's tokens are touched) cost it one refusal.
        self._seen: dict[str, set[int]] = {}
        self._due: dict[int, list[tuple[str, int]]] = {}
        self._swept = 0

    def __len__(self) -> int:
        return self._count

    def check(self, issuer: str, jti: str) -> None:
        """Raise Untrusted if this id was used."""
        if hash(jti) in self._seen.get(issuer, ()):
            raise Untrusted("the token was used before; sign a new one for each request")

    def add(self, issuer: str, jti: str, until: float, now: float) -> None:
        """Note that the id is used; forget it at `until`. Raises Untrusted (used), Unavailable (full)."""
        self._sweep(int(now))
        self.check(issuer, jti)
        seen = self._seen.get(issuer, set())
        if len(seen) >= self._per_issuer or self._count >= self._total:
            raise Unavailable("more tokens in a short time than this node can keep track of", retry_after=5)
        mark = hash(jti)
        seen.add(mark)
        self._seen[issuer] = seen
        self._due.setdefault(int(until) + 1, []).append((issuer, mark))
        self._count += 1

    def _sweep(self, second: int) -> None:
        """Forget what is due; at most once a second, over as many lists as a token may live seconds."""
        if second <= self._swept:
            return
        self._swept = second
        for due in [due for due in self._due if due <= second]:
            for issuer, mark in self._due.pop(due):
                seen = self._seen[issuer]
                seen.discard(mark)
                self._count -= 1
                if not seen:
                    del self._seen[issuer]
