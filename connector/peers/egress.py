"""Where this node may connect to: each address that a peer chose is checked here, before a byte goes out.

A peer names addresses (callbackAddress, a DID's host, an endpoint), and whoever can make a server call an
address of his choice can reach what only that server can: its own ports, its network, a cloud's metadata.
Checked twice: the URL as it is written, at once, so that a bad callback is refused with a reason when it
arrives; and each address that a name resolves to, when the connection is made, from the answer that the
connection uses, so that a name that changes its mind in between (DNS rebinding) gains nothing.
"""

import asyncio
import ipaddress
import re
import socket
from typing import Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from connector.errors import EgressDenied

Reach = Literal["internet", "intranet", "loopback", "any"]
"""How far the node reaches. `internet`: https, public addresses. `intranet`: https, private ones too.
`loopback`: http or https, this machine only. `any`: no limits; for addresses that the operator wrote
(an upstream source of data), never for one that a peer chose."""

MAX_URL = 2048
_HOSTS_KEPT = 4096

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The IANA special-purpose address registries (RFC 6890), as of 2025. Our own table and not `is_global`,
# whose answers differ between patch releases of Python. The first match decides.
_SPECIAL: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]] = [
    (ipaddress.ip_network(network), kind)
    for kind, networks in {
        "loopback": "127.0.0.0/8 ::1/128",
        "unspecified": "0.0.0.0/8 ::/128",
        "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7",
        "link-local": "169.254.0.0/16 fe80::/10",
        "multicast": "224.0.0.0/4 ff00::/8",
        "reserved": "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 "
        "240.0.0.0/4 2001::/23 2001:db8::/32 3fff::/20",
    }.items()
    for network in networks.split()
]
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # printable ASCII without space and backslash
_USER = re.compile(r"[^/?#]*//[^/?#]*@")  # looked for in the text: parsing drops an empty one
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
_NUMERIC_HOST = re.compile(
    r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE
)  # WHATWG URL "ends in a number"


class Egress:
    """The rule of one node. Constructed once, by `node.py`, from `network.reach`."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self._checked: set[str] = set()
        """Hosts that were found good: the same peers are called again and again."""

    def check(self, url: str) -> URL:
        """The parsed `url` if the node may connect there, as far as can be told without asking DNS.

        Raises EgressDenied with a reason that may be shown to the peer that chose the address.
        """
        if not isinstance(url, str) or len(url) > MAX_URL or not _PLAIN.fullmatch(url):
            raise EgressDenied(
                f"the address is not a URL of at most {MAX_URL} printable ASCII characters without backslash"
            )
        try:
            parsed = URL(url, encoded=True)  # sent as it is written: `%2F` may mean something to the peer
            host, port = parsed.raw_host, parsed.explicit_port
        except ValueError:
            raise EgressDenied(f"{url} is not a URL") from None
        if parsed.scheme not in ("https", "http") or not host:
            raise EgressDenied(f"{url} is not an https address with a host")
        if parsed.scheme == "http" and self.reach not in ("loopback", "any"):
            raise EgressDenied(f"{url} is not https; {self._rule()}")
        if _USER.match(url):
            raise EgressDenied(f"the address at {host} carries user information (the part before @)")
        if port is not None and not 0 < port <= 65535:
            raise EgressDenied(f"{url}: the port is not a number from 1 to 65535")
        if host not in self._checked:
            self._check_host(url, host)
            if len(self._checked) >= _HOSTS_KEPT:
                self._checked.clear()
            self._checked.add(host)
        return parsed

    def check_ip(self, address: str, name: str) -> None:
        """Raise EgressDenied unless the node may connect to the IP `address`, which `name` stands for."""
        if "%" in address:
            raise EgressDenied(f"{name} is an address with a zone ({address}), which means this network only")
        kind = kind_of(ipaddress.ip_address(address))
        allowed = {
            "internet": kind == "public",
            "intranet": kind in ("public", "private"),
            "loopback": kind == "loopback",
            "any": True,
        }[self.reach]
        if not allowed:
            where = "" if name.strip("[]") == address or address in name else f" (it resolves to {address})"
            raise EgressDenied(f"{name} is {kind}{where}; {self._rule()}")

    def resolver(self) -> AbstractResolver:
        """A resolver for aiohttp that gives only addresses that may be connected to. Needs a running loop."""
        return _CheckedResolver(self)

    def _check_host(self, url: str, host: str) -> None:
        bare = host.rstrip(".").lower()
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            if _NUMERIC_HOST.fullmatch(host):
                raise EgressDenied(
                    f"{url}: {host} is a number in disguise; write an IPv4 address as four decimal numbers"
                ) from None
            if not _HOST_NAME.fullmatch(host):
                raise EgressDenied(f"{url}: {host} is not a host name") from None
        else:
            if bare != host:
                raise EgressDenied(f"{url}: an IP address has no dot at its end")
            self.check_ip(bare, url)
            return
        local = bare == "localhost" or bare.endswith(".localhost")  # RFC 6761 §6.3: loopback, always
        if local and self.reach in ("internet", "intranet"):
            raise EgressDenied(f"{url} is loopback; {self._rule()}")

    def _rule(self) -> str:
        return f"this node's network.reach is '{self.reach}'"


def kind_of(address: Address) -> str:
    """`public`, `private`, `loopback`, `link-local`, `multicast`, `unspecified` or `reserved`."""
    if isinstance(address, ipaddress.IPv6Address):
        # An IPv4 address in IPv6 clothes is judged as what it leads to.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return kind_of(inner)
    for network, kind in _SPECIAL:
        if address.version == network.version and address in network:
            return kind
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
        return "reserved"
    return "public"


class _CheckedResolver(AbstractResolver):
    """The system's resolver, with each address of each answer checked.

    One bad address spoils the answer: a name that is public and private at once is up to no good.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._system = aiohttp.ThreadedResolver(loop=asyncio.get_running_loop())

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        for result in found:
            self._egress.check_ip(result["host"], host)
        return found

    async def close(self) -> None:
        await self._system.close()
