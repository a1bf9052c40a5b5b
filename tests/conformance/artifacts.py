"""Class paths of foreign programs: resolved by Maven and compiled once, then taken from the cache.

The cache is `$CONFORMANCE_CACHE`, by default `~/.cache/anode-conformance`; once filled, it needs no network.
"""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"


class CannotStart(Exception):
    """A foreign program could not be started; says why, and what to do."""


def cache() -> Path:
    return Path(os.environ.get("CONFORMANCE_CACHE") or Path.home() / ".cache" / "anode-conformance")


def class_path(
    pom: Path, sources: Sequence[Path], services: Mapping[str, str], defines: Mapping[str, str] | None = None
) -> str:
    """The jars that `pom` names and our few classes compiled against them.

    `services` are Java's: interface name to class name. `defines` are Maven properties.
    """
    defines = defines or {}
    parts = [
        pom.read_bytes(),
        *(source.read_bytes() for source in sources),
        repr((services, defines)).encode(),
    ]
    home = cache() / f"{pom.parent.name}-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}"
    listing = home / "class-path"
    if listing.exists() and all(map(os.path.exists, listing.read_text().split(os.pathsep))):
        return listing.read_text()
    for program, package in (("javac", "openjdk-17-jdk-headless"), ("mvn", "maven")):
        if not shutil.which(program):
            raise CannotStart(f"{program} not found: apt install {package}")
    home.mkdir(parents=True, exist_ok=True)
    jars = _resolve(pom, home / "jars", defines)
    _compile(sources, jars, home / "classes", services)
    with tempfile.NamedTemporaryFile("w", dir=home, delete=False) as file:
        file.write(os.pathsep.join([str(home / "classes"), jars]))
    Path(file.name).rename(listing)  # whole or not at all: another run may be reading
    return listing.read_text()


def _resolve(pom: Path, target: Path, defines: Mapping[str, str]) -> str:
    goal = [f"{PLUGIN}:build-classpath", f"-Dmdep.outputFile={target}", "-Dmdep.includeScope=runtime"]
    options = [f"-D{name}={value}" for name, value in defines.items()]
    done = _run("mvn", "-B", "-ntp", "-q", "-U", "-f", str(pom), *goal, *options)
    if done.returncode or not target.exists():
        cause = re.search(r"(Could not .*?)(?: -> |\n)", done.stdout)
        raise CannotStart(f"Maven, {pom.name}: {cause.group(1) if cause else done.stdout[-2000:]}")
    return target.read_text().strip()


def _compile(sources: Sequence[Path], jars: str, classes: Path, services: Mapping[str, str]) -> None:
    done = _run("javac", "-nowarn", "-proc:none", "-cp", jars, "-d", str(classes), *map(str, sources))
    if done.returncode:
        raise CannotStart(f"{sources[0].name} does not compile against these jars:\n{done.stdout[-2000:]}")
    folder = classes / "META-INF" / "services"
    folder.mkdir(parents=True, exist_ok=True)
    for interface, implementation in services.items():
        (folder / interface).write_text(implementation + "\n")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; for programs that can't be told to take port 0."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def properties(settings: Mapping[str, str]) -> str:
    """A Java properties file."""

    def escape(text: str) -> str:
        return re.sub(r"([\\:=#! ])", r"\\\1", text).encode("ascii", "backslashreplace").decode()

    return "".join(f"{escape(name)}={escape(value)}\n" for name, value in settings.items())
