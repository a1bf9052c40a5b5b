"""Downloads from a real process, plain and over TLS: memory stays flat, and only readers are waited for."""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SIZE = 256 << 20
ROOT = Path(__file__).parents[2]


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    born = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, born, born + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return folder / "tls.pem", folder / "tls.key"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Process, dict[str, Any]]]:
    """The process, and what it said: ports, token, certificate."""
    folder = tmp_path_factory.mktemp("serving")
    (folder / "catalog").mkdir()
    with (folder / "catalog" / "large.bin").open("wb") as large:
        large.truncate(SIZE)
    certificate, key = certify(folder)
    command = [sys.executable, "-m", "tests.web.serving", folder, certificate, key]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield psutil.Process(process.pid), {**said, "certificate": certificate}


def open_(said: dict[str, Any], kind: str) -> socket.socket:
    """A connection on which the whole dataset was asked for."""
    connection: socket.socket = socket.create_connection(("127.0.0.1", said[kind]))
    if kind == "tls":
        connection = ssl.create_default_context(cafile=said["certificate"]).wrap_socket(
            connection, server_hostname="127.0.0.1"
        )
    head = f"GET /data HTTP/1.1\r\nHost: x\r\nAuthorization: {said['token']}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def download(said: dict[str, Any], kind: str) -> int:
    """The number of bytes that came after the head."""
    with open_(said, kind) as connection:
        room = bytearray(1 << 20)
        first = connection.recv_into(room)
        head, _, rest = bytes(room[:first]).partition(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head
        count = len(rest)
        while count < SIZE and (more := connection.recv_into(room)):
            count += more
        return count


@pytest.mark.parametrize("kind", ["plain", "tls"])
async def test_a_large_download_needs_no_memory(serving: Any, kind: str) -> None:
    """While 256 MiB go out, twice at a time, the process grows by a few MiB at most."""
    process, said = serving
    before = process.memory_info().rss
    downloads = [asyncio.create_task(asyncio.to_thread(download, said, kind)) for _ in range(2)]
    most = before
    while not all(d.done() for d in downloads):
        await asyncio.wait(downloads, timeout=0.02)
        most = max(most, process.memory_info().rss)
    assert [await d for d in downloads] == [SIZE, SIZE]
    assert most - before < 24 << 20


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_those_who_do_not_read_cost_no_memory(serving: Any, kind: str) -> None:
    """Thirty consumers that ask and never read hold little each, and the node serves others meanwhile."""
    process, said = serving
    before = process.memory_info().rss
    idle = [open_(said, kind) for _ in range(30)]
    assert download(said, kind) == SIZE
    assert process.memory_info().rss - before < 48 << 20
    for connection in idle:
        connection.close()
    assert download(said, kind) == SIZE
