"""Room for what a node does on behalf of others, so that one of them can't take it all."""

from collections import Counter


class Places:
    """`total` places; strangers of one host get `of_host` of them at most.

    Whoever is known already has as many places again, which no stranger can take: a host that answers slowly,
    under however many DIDs, keeps newcomers waiting at worst.
    """

    def __init__(self, total: int, of_host: int) -> None:
        self._total, self._of_host = total, of_host
        self._known = 0
        self._strangers: Counter[str] = Counter()

    def take(self, did: str, *, known: bool) -> bool:
        """Take a place for something that concerns `did`; whether there is one."""
        if known:
            free = self._known < self._total
            self._known += free
            return free
        host = _host(did)
        if self._strangers[host] >= self._of_host or self._strangers.total() >= self._total:
            return False
        self._strangers[host] += 1
        return True

    def leave(self, did: str, *, known: bool) -> None:
        """Give the place back that was taken with these very arguments."""
        if known:
            self._known -= 1
            return
        self._strangers[_host(did)] -= 1
        self._strangers += Counter()  # lets go of hosts that have none


def _host(did: str) -> str:
    """The part of a did:web that says whose it is, with its port."""
    return did.split(":", 3)[2]
