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


Services = Mapping[str, Sequence[str]]
"""Java's: the name of an interface, the names of our classes that implement it."""


def class_path(
    pom: Path, sources: Sequence[Path], services: Services, defines: Mapping[str, str] | None = None
) -> str:
    """The jars that `pom` names and our few classes compiled against them.

    `defines` are Maven properties. Raises CannotStart.
    """
    defines = defines or {}
    listing = _place(pom.parent.name, pom.read_bytes(), repr(sorted(defines.items())).encode())
    if not listing.exists() or not all(map(os.path.exists, listing.read_text().split(os.pathsep))):
        with tempfile.TemporaryDirectory(dir=listing.parent) as folder:
            _keep(_resolve(pom, Path(folder, "jars"), defines), listing)
    return compiled(sources, listing.read_text().strip(), services)


def compiled(sources: Sequence[Path], jars: str, services: Services) -> str:
    """The class path `jars`, and before it our few classes compiled against it. Raises CannotStart."""
    parts = [*(source.read_bytes() for source in sources), jars.encode(), repr(services).encode()]
    classes = _place("classes", *parts)
    if not classes.exists():
        with tempfile.TemporaryDirectory(dir=classes.parent) as folder:
            _keep(_compile(sources, jars, Path(folder, "classes"), services), classes)
    return os.pathsep.join([str(classes), jars])


def _place(name: str, *parts: bytes) -> Path:
    """Where in the cache that is which is made from `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    cache().mkdir(parents=True, exist_ok=True)
    return cache() / f"{name}-{digest.hexdigest()[:16]}"


def _keep(made: Path, place: Path) -> None:
    """Put it there whole: another run may be looking, or may have been faster."""
    try:
        made.rename(place)
    except OSError:
        if not place.exists():
            raise


def _require(program: str, package: str) -> None:
    if not shutil.which(program):
        raise CannotStart(f"{program} not found: apt install {package}")


def _resolve(pom: Path, target: Path, defines: Mapping[str, str]) -> Path:
    _require("mvn", "maven")
    goal = [f"{PLUGIN}:build-classpath", f"-Dmdep.outputFile={target}", "-Dmdep.includeScope=runtime"]
    options = [f"-D{name}={value}" for name, value in defines.items()]
    done = _run("mvn", "-B", "-ntp", "-q", "-U", "-f", str(pom), *goal, *options)
    if done.returncode or not target.exists():
        cause = re.search(r"(Could not .*?)(?: -> |\n)", done.stdout)
        raise CannotStart(f"Maven, {pom.name}: {cause.group(1) if cause else done.stdout[-2000:]}")
    return target


def _compile(sources: Sequence[Path], jars: str, classes: Path, services: Services) -> Path:
    _require("javac", "openjdk-17-jdk-headless")
    done = _run("javac", "-nowarn", "-proc:none", "-cp", jars, "-d", str(classes), *map(str, sources))
    if done.returncode:
        raise CannotStart(f"{sources[0].name} does not compile against these jars:\n{done.stdout[-2000:]}")
    folder = classes / "META-INF" / "services"
    folder.mkdir(parents=True, exist_ok=True)
    for interface, implementations in services.items():
        (folder / interface).write_text("".join(f"{name}\n" for name in implementations))
    return classes


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
