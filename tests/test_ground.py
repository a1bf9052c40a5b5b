"""The ground everything stands on: set-up from nothing, locks, layout, sizes, names."""

import ast
import re
import statistics
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETUP = (ROOT / ".ci" / "environment").read_text()
LOCKS = ("requirements.txt", "requirements-dev.txt")
TOP = {
    "connector",
    "policies",
    "vocab",
    "catalog",
    "examples",
    "tests",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
}
TOP |= {"Makefile", "pyproject.toml", *LOCKS}
BANNED = re.compile(
    r"^class \w*(Manager|Impl|Base|Abstract|Helper|Util|Processor|(?<!Data)Service)\b", re.MULTILINE
)


def modules() -> dict[Path, str]:
    return {path.relative_to(ROOT): path.read_text() for path in sorted((ROOT / "connector").rglob("*.py"))}


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing tells the project's files from others")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]


def set_up(folder: Path, python: str, **environment: str) -> tuple[str, int]:
    """Run the set-up in an empty checkout where the only Python behaves like the script `python`."""
    (folder / "bin").mkdir()
    (folder / ".ci").mkdir()
    (folder / ".ci" / "environment").write_text(SETUP)
    (folder / "requirements.txt").write_text("orjson==3.13.0 --hash=sha256:" + "0" * 64 + "\n")
    program = folder / "bin" / "python3"
    program.write_text(f"#!/bin/sh\n{python}\n")
    program.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", ".ci/environment", "requirements.txt"],
        cwd=folder,
        env={
            "PATH": f"{folder}/bin:/usr/bin:/bin",
            "PYTHON": str(program),
            "HOME": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout, done.returncode


def test_an_old_python_is_named_with_what_to_install(tmp_path: Path) -> None:
    """With no Python from 3.11 on, set-up ends with one line: what is here, and what to install."""
    line, code = set_up(tmp_path, '[ "$1" = --version ] && echo Python 3.9.2 && exit; exit 1')
    assert code == 1
    assert line.count("\n") == 1
    assert "3.11 or later" in line
    assert "Python 3.9.2" in line
    assert "apt install" in line


def test_a_missing_venv_module_is_named_with_its_package(tmp_path: Path) -> None:
    """Debian's python3 without python3-venv ends in one line that names the package."""
    line, code = set_up(tmp_path, 'case "$*" in *ensurepip*) exit 1;; esac; exit 0')
    assert code == 1
    assert re.fullmatch(r".* has no venv module\. .*apt install python3-venv\n", line)


def test_a_venv_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    """A virtual environment that fails half-way is removed, so that the next run starts afresh."""
    line, code = set_up(
        tmp_path, 'case "$*" in *"-m venv"*) mkdir .venv; echo "no space left"; exit 1;; esac'
    )
    assert code == 1
    assert "no space left" in line
    assert not (tmp_path / ".venv").exists()


@pytest.mark.slow
def test_no_network_is_named(tmp_path: Path) -> None:
    """Without a package index set-up ends with one line that says so, and how to name a mirror."""
    line, code = set_up(
        tmp_path,
        'exec /usr/bin/env -u PYTHONPATH /usr/bin/python3 "$@"',
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
    )
    assert code == 1
    assert line.count("\n") == 1
    assert "no Python package index answers" in line


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_pins_by_hash_and_names_no_place(lock: str) -> None:
    """Each package is pinned to a version and a hash; no index, mirror or folder is named."""
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|--index|--find-links|--extra| @ |^/", text, re.MULTILINE)
    for entry in re.split(r"\n(?=\S)", text):
        if not entry.startswith("#"):
            assert re.match(r"[a-z0-9.-]+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry[:80]


def test_the_lock_holds_every_dependency() -> None:
    """What pyproject.toml asks for is in the locks: `make lock` was not forgotten."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {"requirements.txt": project["dependencies"]}
    needed["requirements-dev.txt"] = project["dependencies"] + project["optional-dependencies"]["dev"]
    for lock, requirements in needed.items():
        pinned = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
        names = {
            re.split(r"[><=\[ ]", requirement)[0].lower().replace("_", "-") for requirement in requirements
        }
        assert names <= pinned, f"{lock}: run make lock"


def test_the_two_locks_agree() -> None:
    """Tests run on the very versions that a node runs on."""
    pins = [dict(re.findall(r"^(\S+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)) for lock in LOCKS]
    assert pins[0].items() <= pins[1].items()


def test_the_top_level_is_what_the_design_says() -> None:
    """Nothing gathers at the top: a new file there is a decision."""
    assert {path.split("/")[0] for path in tracked() if not path.startswith(".")} <= TOP


def test_every_make_target_says_what_it_does() -> None:
    """`make` lists each target with a sentence."""
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (.*)", makefile, re.MULTILINE)[0].split())
    assert phony == set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))


def test_modules_stay_small() -> None:
    """A reader can hold a module: at most 500 lines each, under 200 in the median."""
    sizes = {path: text.count("\n") for path, text in modules().items() if text.count("\n") > 5}
    assert {path: size for path, size in sizes.items() if size > 500} == {}
    assert statistics.median(sizes.values()) < 200


def test_names_are_the_standards_own() -> None:
    """No class is called by what it is for us instead of what it is in the protocol."""
    assert {str(path): found for path, text in modules().items() if (found := BANNED.findall(text))} == {}


def test_each_test_states_its_claim() -> None:
    """A test without a docstring only says what it does, not what it shows."""
    silent = [
        f"{path.relative_to(ROOT)}: {found.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for found in ast.walk(ast.parse(path.read_text()))
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
        and found.name.startswith("test_")
        and not ast.get_docstring(found)
    ]
    assert silent == []


def test_each_ignore_carries_its_reason() -> None:
    """A lint or type check is switched off by its name and with a reason on the same line."""
    bare = re.compile(r"#\s*(noqa|type: ignore)(?!(: [A-Z0-9, ]+|\[[a-z-, ]+\])\s*(#|--|-|\u2013)\s*\w)")
    found = [
        f"{path}:{n}"
        for path, text in modules().items()
        for n, line in enumerate(text.splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []


def test_nothing_unfinished_is_left() -> None:
    """No TODO, no stub."""
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [str(path) for path, text in modules().items() if marks.search(text)] == []


def test_the_project_reads_nothing_beside_itself() -> None:
    """A clone alone is enough: no file refers to a folder beside the checkout."""
    beside = re.compile(rb"(\.\./|/work/)(shared|main)\b")
    assert [path for path in tracked() if beside.search((ROOT / path).read_bytes())] == []
