"""A large download, plain and over TLS, beside nginx serving the same file in the same run."""

import asyncio
import getpass
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from connector import config as settings
from connector.flows.clock import iso
from tests.bench import seed
from tests.bench.measure import cpu_seconds, resident_mib
from tests.bench.processes import started
from tests.nodes import free_port, prepare

SIZE = 1 << 30


async def fetch(port: int, path: str, headers: str, tls: bool) -> float:
    """MiB a second of one download, read by curl and thrown away."""
    scheme = "https" if tls else "http"
    command = [
        "curl",
        "-sk",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{size_download}",
        *(["-H", headers] if headers else []),
    ]
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, f"{scheme}://127.0.0.1:{port}{path}", stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    took = time.perf_counter() - began
    if printed.decode() != f"200 {SIZE}":
        raise RuntimeError(f"the download answered {printed!r}")
    return SIZE / (1 << 20) / took


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of our own for 127.0.0.1."""
    made = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-out", made[0], "-keyout", made[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


def nginx(folder: Path, port: int, tls_port: int, cert: Path, key: Path) -> subprocess.Popen[bytes]:
    """nginx with one worker and sendfile."""
    (folder / "nginx.conf").write_text(
        f"daemon off; user {getpass.getuser()}; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        "events {}\n"
        "http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path /tmp; "
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} "
        f"server {{ listen 127.0.0.1:{tls_port} ssl; ssl_certificate {cert}; "
        f"ssl_certificate_key {key}; root {folder}; }} }}\n"
    )
    return subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf", "-p", folder], stderr=subprocess.DEVNULL)


async def compare(folder: Path, verdict: Callable[..., None]) -> None:
    """Best of three each, interleaved; and what memory did meanwhile."""
    if shutil.which("nginx") is None:
        print("  SKIP  nginx is not installed: apt-get install nginx-light")
        return
    home = folder / "download"
    home.mkdir()
    with (home / "big.bin").open("wb") as file:
        for piece in seed.pieces(SIZE):
            file.write(piece)
    cert, key = certificate(home)
    source = {"file": str(home / "big.bin"), "media_type": "application/octet-stream"}
    agreement = {
        "@type": "Agreement", "@id": "urn:x:a", "target": "urn:x:data", "assigner": "did:web:p",
        "assignee": "did:web:c", "timestamp": iso(seed.AGREED), "permission": [{"action": "use"}],
    }  # fmt: skip
    policies = {"bench": {"offer": "everyone", "allow": "use"}}
    plain = prepare(home / "plain", free_port(), policies)
    tls = prepare(home / "tls", 0, policies, public={
        "url": "https://localhost:1", "host": "127.0.0.1", "port": 0,
        "tls_certificate": str(cert), "tls_key": str(key),
    })  # fmt: skip
    tokens = {
        path: (await seed.transfers(settings.load(path).store, "did:web:c", agreement, source, 1))[0]
        for path in (plain, tls)
    }
    ports = free_port(), free_port()
    served = nginx(home, *ports, cert, key)
    try:
        async with started("node", str(plain)) as node, started("node", str(tls)) as secure:
            for name, ours, path, their_port, is_tls in (
                ("plain", node, plain, ports[0], False),
                ("TLS", secure, tls, ports[1], True),
            ):
                rates: dict[str, list[float]] = {"ours": [], "nginx": []}
                before, cpu = resident_mib(ours.pid), cpu_seconds(ours.pid)
                peak = before
                for _ in range(4):
                    rates["nginx"].append(await fetch(their_port, "/big.bin", "", is_tls))
                    task = asyncio.create_task(
                        fetch(ours.port, "/data", f"Authorization: {tokens[path]}", is_tls)
                    )
                    while not task.done():
                        await asyncio.sleep(0.05)
                        peak = max(peak, resident_mib(ours.pid))
                    rates["ours"].append(await task)
                spent = (cpu_seconds(ours.pid) - cpu) / 4
                best, theirs = max(rates["ours"]), max(rates["nginx"])
                print(f"    {name}: {best:.0f} MiB/s, nginx {theirs:.0f}; {spent:.2f} s CPU a GiB")
                verdict(f"1 GiB download, {name}, over nginx", best / theirs, 0.8, True)
                verdict(f"memory grown meanwhile, {name}", peak - before, 8, False, " MiB")
    finally:
        served.terminate()
        served.wait()
