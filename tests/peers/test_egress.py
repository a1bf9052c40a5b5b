"""The rule on where this node may connect to."""

import ipaddress
import itertools

import pytest

from connector.errors import EgressDenied
from connector.peers.egress import Egress, Reach, kind_of

INTERNET, INTRANET, LOOPBACK = Egress("internet"), Egress("intranet"), Egress("loopback")


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", "public"),
        ("2606:4700:4700::1111", "public"),
        ("10.0.0.3", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.1", "public"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("100.128.0.1", "public"),
        ("fd00::1", "private"),
        ("127.0.0.1", "loopback"),
        ("127.255.0.9", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 - an address to judge, not to bind
        ("0.1.2.3", "unspecified"),
        ("::", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff0e::1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("240.0.0.1", "reserved"),
        ("192.0.2.1", "reserved"),
        ("198.18.0.1", "reserved"),
        ("192.88.99.1", "reserved"),
        ("2001:db8::1", "reserved"),
        ("2001:0:1::1", "reserved"),
        ("fec0::1", "reserved"),
        ("64:ff9b:1::1", "reserved"),
        ("4000::1", "reserved"),
        ("::ffff:10.0.0.3", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:8.8.8.8", "public"),
        ("::127.0.0.1", "reserved"),
        ("64:ff9b::a00:3", "private"),
        ("64:ff9b::808:808", "public"),
        ("2002:a00:3::1", "private"),
        ("2002:7f00:1::", "loopback"),
    ],
)
def test_kinds(address: str, kind: str) -> None:
    """Each kind of address is told, also when an IPv4 address wears IPv6 clothes."""
    assert kind_of(ipaddress.ip_address(address)) == kind


@pytest.mark.parametrize(
    ("reach", "allowed"),
    [
        ("internet", {"public"}),
        ("intranet", {"public", "private"}),
        ("loopback", {"loopback"}),
        ("any", {"public", "private", "loopback", "link-local"}),
    ],
)
def test_reach(reach: Reach, allowed: set[str]) -> None:
    """What each reach lets through, literally and as what a name resolves to."""
    examples = {
        "public": "8.8.8.8",
        "private": "10.0.0.3",
        "loopback": "127.0.0.1",
        "link-local": "169.254.169.254",
    }
    egress = Egress(reach)
    for kind, address in examples.items():
        if kind in allowed:
            egress.check(f"https://{address}/x")
            egress.check_ip(address, "a.example")
        else:
            with pytest.raises(EgressDenied, match=f"is {kind}; this node's network.reach is '{reach}'"):
                egress.check(f"https://{address}/x")
            with pytest.raises(EgressDenied, match=f"a.example is {kind} .it resolves to {address}."):
                egress.check_ip(address, "a.example")


def test_reason_names_address_and_rule() -> None:
    """The reason says which address, what it is, and which setting decides."""
    with pytest.raises(EgressDenied) as denied:
        INTERNET.check("https://10.0.0.3/callback")
    assert str(denied.value) == (
        "https://10.0.0.3/callback is private; this node's network.reach is 'internet'"
    )


@pytest.mark.parametrize("host", ["a.example", "localhost", "127.0.0.1", "[::1]"])
def test_http_is_for_loopback(host: str) -> None:
    """Plain http is taken where only loopback is reached, and nowhere else."""
    for egress in (INTERNET, INTRANET):
        with pytest.raises(EgressDenied, match="is not https"):
            egress.check(f"http://{host}/x")
    assert str(LOOPBACK.check(f"http://{host}/x")) == f"http://{host}/x"


DISGUISES = [
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.1", "0x7f.0.0.1", "017700000001", "0",
    "127.0.0.1.", "10.0.0.3.", "0xa.0.0.3", "a.example.0x7f", "1.2.3.4.5", "256.256.256.256",
]  # fmt: skip


@pytest.mark.parametrize(("egress", "host"), [*itertools.product([INTERNET, INTRANET, LOOPBACK], DISGUISES)])
def test_addresses_in_disguise(egress: Egress, host: str) -> None:
    """Decimal, octal, hexadecimal and short forms are refused everywhere: parsers differ on them."""
    with pytest.raises(EgressDenied, match=r"number in disguise|IP address has no dot|is loopback|not a URL"):
        egress.check(f"https://{host}/x")


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST", "a.localhost"])
def test_localhost_by_name(host: str) -> None:
    """The name localhost is loopback before anybody asks DNS (RFC 6761 §6.3)."""
    with pytest.raises(EgressDenied, match="is loopback"):
        INTERNET.check(f"https://{host}/x")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "//a.example/x",
        "/x",
        "https://",
        "https:///x",
        "https:a.example",
        "ftp://a.example",
        "file:///etc/passwd",
        "gopher://a.example",
        "javascript:alert(1)",
        "https://user@a.example/",
        "https://user:pass@a.example/",
        "https://@a.example/",
        "https://:@a.example/",
        "https://a.example\\@b.example/",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a.example:-1/",
        "https://a.example:port/",
        "https://a.exa mple/",
        "https://a.example/\n",
        "https://a.example/\x00",
        "\thttps://a.example/",
        "https://bücher.example/",
        "https://127.0.0。1/",
        "https://１２７.0.0.1/",
        "https://a%2eexample/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://a.example/" + "x" * 2048,
    ],
)
def test_refused(url: str) -> None:
    """What is no plain https URL of a host, or hides one in another, is refused."""
    with pytest.raises(EgressDenied):
        INTERNET.check(url)


def test_not_text() -> None:
    """An address that is no string is refused like any other."""
    with pytest.raises(EgressDenied, match="not a URL"):
        INTERNET.check(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example",
        "https://a.example./x",
        "https://a.example:8443/x?y=1&z=%20#f",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:8443/",
        "https://123.example/",
    ],
)
def test_taken(url: str) -> None:
    """Ordinary addresses pass."""
    INTERNET.check(url)


def test_sent_as_written() -> None:
    """What was checked is what is sent: no part of the address is rewritten."""
    url = "https://A.example/a%2Fb/%7Ec/../d?x=%2f&y=a+b"
    assert str(INTERNET.check(url)) == url
