"""Settings: what a file means, and how its mistakes are shown."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from connector import config, quantities, resources, yamlfile
from connector.cli import template
from connector.errors import InvalidFile

MINIMAL = """\
participant: {did: "did:web:cathodes.example", name: Cathodes}
public: {url: "https://cathodes.example/"}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "anode.yaml"
    path.write_text(text)
    return path


def reasons(folder: Path, text: str) -> list[str]:
    """Why that file is refused, without its folder."""
    with pytest.raises(InvalidFile) as caught:
        config.load(write(folder, text))
    return [reason.removeprefix(f"{folder}/") for reason in caught.value.reasons]


def test_defaults(tmp_path: Path) -> None:
    """Two required sections suffice; everything else has a safe default, with paths beside the file."""
    loaded = config.load(write(tmp_path, MINIMAL))
    assert loaded.public.url == "https://cathodes.example"
    assert (loaded.public.host, loaded.public.port) == ("127.0.0.1", 8080)
    assert (loaded.management.host, loaded.management.port) == ("127.0.0.1", 8081)
    assert loaded.management.token_file == tmp_path / "management.token"
    assert loaded.keys.folder == tmp_path / "keys"
    assert loaded.keys.passphrase_file == tmp_path / "keys.passphrase"
    assert (loaded.keys.announced, loaded.keys.overlap) == (300, 86400)
    assert (loaded.pkcs11.module, loaded.store) == (None, tmp_path / "anode.sqlite")
    assert (loaded.catalog, loaded.policies) == ((tmp_path / "catalog",), (tmp_path / "policies",))
    assert loaded.network.reach == "internet"
    assert loaded.delivery == config.Delivery(first_retry=0.5, longest_retry=300, deadline=86400)
    assert loaded.data.token_lifetime == 600
    assert (loaded.limits.message_bytes, loaded.limits.json_depth) == (1 << 20, 64)


def test_trusted_issuers_are_lists_by_type(tmp_path: Path) -> None:
    """Issuers are believed for the types that they stand under, one or several."""
    text = (
        f"{MINIMAL}credentials: {{trusted: {{Member: ['did:web:a', 'did:web:b'], Repairer: ['did:web:c']}}}}"
    )
    trusted = config.load(write(tmp_path, text)).credentials.trusted
    assert trusted == {"Member": ("did:web:a", "did:web:b"), "Repairer": ("did:web:c",)}


def test_every_problem_at_once_with_its_line(tmp_path: Path) -> None:
    """A wrong file is refused with all its mistakes, each with its line and what would do."""
    text = """\
participant:
  did: cathodes.example
  name: 12
pubilc: {url: "https://x.example"}
public:
  url: ftp://x.example
  prot: 80
  port: "8080"
  tls_key: key.pem
management:
  host: 0.0.0.0
network: {reach: moon}
delivery: {deadline: soon, first_retry: 0}
limits: 3
catalog: data
store: [a]
token_lifetime: 5m
"""
    assert reasons(tmp_path, text) == [
        "anode.yaml:2: participant.did: expected a DID, such as did:web:connector.example; "
        'it is "cathodes.example"',
        "anode.yaml:3: participant.name: expected text; put it in quotes; it is 12",
        'anode.yaml:4: unknown key "pubilc"; did you mean "public"?',
        'anode.yaml:6: public.url: expected an address such as https://connector.example; it is "ftp://x.example"',
        'anode.yaml:7: unknown key "prot" in public; did you mean "port"?',
        'anode.yaml:8: public.port: expected a whole number; it is "8080"',
        "anode.yaml:11: management: expected a loopback host such as 127.0.0.1, not 0.0.0.0; "
        "or set allow_remote: true",
        'anode.yaml:12: network.reach: expected one of internet, intranet or loopback; it is "moon"',
        "anode.yaml:13: delivery.deadline: expected a duration, such as 90s, 15m, 24h or 7 days; "
        'it is "soon"',
        "anode.yaml:13: delivery.first_retry: expected more than 0; it is 0",
        "anode.yaml:14: limits: expected a mapping of keys to values; it is 3",
        'anode.yaml:15: catalog: expected a list, such as [a, b]; it is "data"',
        "anode.yaml:16: store: expected the path of a file or folder; it is ['a']",
        'anode.yaml:17: unknown key "token_lifetime"; did you mean data.token_lifetime?',
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "anode.yaml:1: expected settings, such as `participant:`; see `anode init`"),
        ("- a", "anode.yaml:1: expected settings, such as `participant:`; see `anode init`"),
        (MINIMAL + "public: {}\n", 'anode.yaml:3: key "public" is already set in line 2; remove one'),
        ("participant: {\n", "anode.yaml:2: not YAML: "),
        ("a: &b c\nd: *b\n", "anode.yaml:1: anchors and aliases are not read; write the value out"),
        (
            "a: !!python/name:os.system x\n",
            "anode.yaml:1: tags such as tag:yaml.org,2002:python/name:os.system",
        ),
        ("? [a]\n: b\n", "anode.yaml:1: a key must be plain text"),
        ("a: 1\n---\nb: 2\n", "anode.yaml:3: a second document; one file holds one"),
        ("a: " + "[" * 100 + "]" * 100, "anode.yaml:1: nested deeper than 64 levels"),
        (
            MINIMAL + "zzz: 1",
            'anode.yaml:3: unknown key "zzz"; known here: participant, public, management, ',
        ),
        (
            "public: {url: 'https://x.example'}",
            'anode.yaml:1: "participant.did" is missing; set it, or start from',
        ),
        (
            MINIMAL.replace("https:", "http:"),
            "anode.yaml:2: expected public.url with https, since network.reach",
        ),
        (
            MINIMAL + "network: {reach: loopback}",
            "anode.yaml:2: expected public.url on this machine (such as",
        ),
        (
            MINIMAL.replace("/}", "/, tls_key: k}").replace('/"}', '/", tls_key: k}'),
            "anode.yaml:2: public: expected",
        ),
    ],
)
def test_refused(tmp_path: Path, text: str, reason: str) -> None:
    """Each kind of unusable file is refused at the line that is wrong."""
    assert reasons(tmp_path, text)[0].startswith(reason)


def test_not_readable(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is not UTF-8 are named, not raised as bugs."""
    with pytest.raises(InvalidFile, match=r"anode\.yaml: no such file"):
        config.load(tmp_path / "anode.yaml")
    with pytest.raises(InvalidFile, match="can't be read"):
        config.load(tmp_path)
    path = tmp_path / "anode.yaml"
    path.write_bytes(b"a: b\nc: \xff\n")
    with pytest.raises(InvalidFile, match=r"anode\.yaml:2: not UTF-8"):
        config.load(path)


def test_remote_management_needs_a_word(tmp_path: Path) -> None:
    """Management listens beyond loopback only where the file says so explicitly."""
    text = MINIMAL + "management: {host: 10.0.0.1, allow_remote: true}\n"
    assert config.load(write(tmp_path, text)).management.host == "10.0.0.1"
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        config.load(write(tmp_path, MINIMAL + f'management: {{host: "{host}"}}\n'))


def test_empty_sections_and_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A section with all keys commented out means its defaults, relative to the file, not the process."""
    (tmp_path / "node").mkdir()
    path = write(tmp_path / "node", MINIMAL + "management:\ndata:\ncatalog: [one.yaml, /two]\n")
    monkeypatch.chdir(tmp_path)
    loaded = config.load(path.relative_to(tmp_path))
    assert loaded.management.token_file == tmp_path / "node/management.token"
    assert loaded.catalog == (tmp_path / "node/one.yaml", Path("/two"))


def test_scalars_are_what_they_look_like() -> None:
    """YAML 1.1's surprises stay text: NO, on, dates, sexagesimals, octals; quoted numbers stay text."""
    text = (
        "a: [NO, on, yes, 2027-01-01, 12:30:45, 010, 1_000, 0x1F, '5', 5, -1.5, 1e3, true, null, ~, '', .inf]"
    )
    assert yamlfile.parse(text, "x").value["a"] == [
        *("NO", "on", "yes", "2027-01-01", "12:30:45", "010", "1_000", "0x1F", "5"),
        *(5, -1.5, 1000.0, True, None, None, "", ".inf"),
    ]


def test_lines_of_keys_and_items() -> None:
    """Each key and list item knows its line; something absent gets its parent's."""
    document = yamlfile.parse("a:\n  - b: 1\n    c: 2\n  - d\n", "f.yaml")
    assert str(document.place("a", 0, "c")) == "f.yaml:3"
    assert str(document.place("a", 1)) == "f.yaml:4"
    assert str(document.place("a", 0, "missing", "deeper")) == "f.yaml:2"
    assert str(document.place("missing")) == "f.yaml:1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86400),
        ("7 days", 604800),
        ("1 day", 86400),
        ("250ms", 0.25),
        ("1.5 hours", 5400),
        ("2 weeks", 1209600),
        (3, 3),
        (0.5, 0.5),
        ("3 min", 180),
        (" 5 s ", 5),
    ],
)
def test_durations(text: object, value: float) -> None:
    """Durations are text with a unit, or seconds; written back they mean the same."""
    assert quantities.seconds(text) == value
    assert quantities.seconds(quantities.duration_text(value)) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1 MiB", 1 << 20), ("64KiB", 65536), ("2 MB", 2 * 10**6), (99, 99)]
)
def test_sizes(text: object, value: int) -> None:
    """Sizes are text with a unit, or bytes; written back they mean the same."""
    assert quantities.size(text) == value
    assert quantities.size(quantities.size_text(value)) == value


@pytest.mark.parametrize("text", ["", "5", "s", "-3s", "1 fortnight", "1e9s", None, True, []])
def test_not_durations(text: object) -> None:
    """A duration without a known unit is refused, never guessed."""
    with pytest.raises(ValueError, match="a duration, such as"):
        quantities.seconds(text)


def fields(model: type[BaseModel]) -> list[tuple[str, str | None]]:
    own = [(name, field.description) for name, field in model.model_fields.items()]
    return own + [field for section in config.sections_of(model).values() for field in fields(section)]


def test_lists_by_name(tmp_path: Path) -> None:
    """Settings that hold a list for each name take it as it is written; files lie beside the settings."""
    text = (resources.folder("examples") / "anode.yaml").read_text()
    text = text.replace("#trusted: {}", "trusted: {M: [did:web:a.example, did:web:b.example]}")
    found = config.load(write(tmp_path, text.replace("#resources: {}", "resources: {'urn:x:y': [a, b]}")))
    assert found.credentials.trusted == {"M": ("did:web:a.example", "did:web:b.example")}
    assert found.credentials.resources == {"urn:x:y": (tmp_path / "a", tmp_path / "b")}
    with pytest.raises(InvalidFile, match="trusted"):
        config.load(write(tmp_path, text.replace("[did:web:a.example, did:web:b.example]", "[nobody]")))


def test_example_documents_every_key() -> None:
    """examples/anode.yaml is what the models say: each key stands there under its meaning, and it loads."""
    path = resources.folder("examples") / "anode.yaml"
    values = {
        "participant": {"did": "did:web:connector.example", "name": "Example Cathodes GmbH"},
        "public": {"url": "https://connector.example"},
    }
    assert path.read_text() == template.render(values)
    assert all(description for _, description in fields(config.Config))
    assert config.load(path).public.url == "https://connector.example"


def test_commented_keys_are_the_defaults(tmp_path: Path) -> None:
    """Removing the # of any line changes nothing: what is commented out is what holds."""
    text = (resources.folder("examples") / "anode.yaml").read_text()
    lines = [
        line.replace("#", "", 1) if line.lstrip()[:1] == "#" and line.lstrip()[1:2] != " " else line
        for line in text.splitlines()
    ]
    whole = config.load(write(tmp_path, "\n".join(lines)))
    (tmp_path / "other").mkdir()
    assert whole == config.load(write(tmp_path, text))
    assert "host" in "\n".join(lines)


@pytest.mark.parametrize(
    "value", ["a: b", "# c", "NO", "12", "true", " x ", "- y", "", "Müller & Söhne", "a\nb", '"q"']
)
def test_template_quotes_what_needs_it(value: str) -> None:
    """Any text put into the template reads back as that text."""
    written = template.render({"participant": {"did": "did:web:x.example", "name": value}})
    assert yamlfile.parse(written, "x").value["participant"]["name"] == value


def test_import_is_light() -> None:
    """Reading settings loads neither the HTTP stack nor cryptography."""
    code = "import sys, connector.config; print(*{'aiohttp', 'cryptography', 'asyncio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_keys_and_services(tmp_path: Path) -> None:
    """Folder, passphrase, spans, token and services elsewhere are set where they belong."""
    text = """\
participant: {did: "did:web:a.example", name: A, services: {DataService: "https://edc.example/dsp/"}}
public: {url: "https://a.example"}
keys: {folder: /srv/keys, passphrase_file: /run/credentials/anode/keys, announced: 10m, overlap: 7 days}
pkcs11: {module: /usr/lib/hsm.so, token: anode, pin_file: /run/pin}
"""
    loaded = config.load(write(tmp_path, text))
    assert loaded.participant.services == {"DataService": "https://edc.example/dsp"}
    assert loaded.keys.passphrase_file == Path("/run/credentials/anode/keys")
    assert (loaded.keys.announced, loaded.keys.overlap) == (600, 7 * 86400)
    assert (loaded.pkcs11.module, loaded.pkcs11.token) == (Path("/usr/lib/hsm.so"), "anode")
    assert loaded.pkcs11.pin_file == Path("/run/pin")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("keys: {passphrase_file: keys/secret}", "keys: expected a file outside of keys.folder"),
        ("keys: {overlap: 1m}", "keys.overlap: expected at least 600; it is 60"),
        ("keys: folder", 'keys: expected a mapping of keys to values; it is "folder"'),
        ("pkcs11: {module: /usr/lib/hsm.so}", "pkcs11: expected module and token, or neither"),
        ("pkcs11: {token: anode}", "pkcs11: expected module and token, or neither"),
        ("pkcs11: {pin: 1234}", 'unknown key "pin" in pkcs11'),
    ],
)
def test_keys_that_can_not_be(tmp_path: Path, line: str, reason: str) -> None:
    """A passphrase among the keys, an overlap shorter than caches live, half a token: each is told."""
    (found,) = reasons(tmp_path, MINIMAL + line)
    assert reason in found


@pytest.mark.parametrize(
    ("services", "reason"),
    [
        ("{dataService: https://a.example}", "participant.services.dataService"),
        ("{DataService: ftp://a.example}", "participant.services.DataService: expected an address"),
        ("https://a.example", "participant.services: expected"),
    ],
)
def test_services_that_are_none(tmp_path: Path, services: str, reason: str) -> None:
    """A service has a type, which begins with a capital letter, and an address."""
    text = MINIMAL.replace("name: Cathodes}", f"name: Cathodes, services: {services}}}")
    (found,) = reasons(tmp_path, text)
    assert reason in found
