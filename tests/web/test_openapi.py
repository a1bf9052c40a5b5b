"""Routes become a valid OpenAPI document, a page, and a guarded listener."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import Field

from connector.errors import Denied, InvalidFile, LocalProtocolError, NotFound, Unavailable, Untrusted
from connector.web import guard, pages
from connector.web.openapi import Call, Model, Route, document

TOKEN = "t" * 43
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Part(Model):
    """A part of a cell."""

    name: str = Field(description="What it is <called>.")
    mass: float | None = Field(None, description="In kilograms.")


class Page(Model):
    """Some parts."""

    parts: list[Part]


class Which(Model):
    """Where to go on."""

    after: str | None = Field(None, description="The last name seen.")
    limit: int = Field(10, ge=1, le=100, description="How many.")


async def list_parts(node: dict[str, Part], call: Call) -> Page:
    """Lists in the order of names."""
    names = [name for name in sorted(node) if name > (call.query.after or "")]
    return Page(parts=[node[name] for name in names[: call.query.limit]])


async def add_part(node: dict[str, Part], call: Call) -> Part:
    if call.body.name in node:
        raise LocalProtocolError("it is there already")
    node[call.body.name] = call.body
    return node[call.body.name]


async def remove_part(node: dict[str, Part], call: Call) -> None:
    failures = {
        "busy": Unavailable("not now", retry_after=2.2),
        "mine": Denied("no"),
        "fake": Untrusted("who?"),
    }
    if call.path["name"] in failures:
        raise failures[call.path["name"]]
    if node.pop(call.path["name"], None) is None:
        raise NotFound("no such part")


async def watch_parts(node: dict[str, Part], call: Call) -> web.Response:
    return web.Response(text="data: 1\n\n", content_type="text/event-stream")


ROUTES = [
    Route("GET", "/parts", list_parts, "The parts", "parts", query=Which, response=Page),
    Route(
        "POST",
        "/parts",
        add_part,
        "Add a part",
        "parts",
        request=Part,
        response=Part,
        status=201,
        errors=(LocalProtocolError,),
    ),
    Route(
        "DELETE",
        "/parts/{name:.+}",
        remove_part,
        "Remove a part",
        "parts",
        parameters={"name": "Its name."},
        errors=(Unavailable, Denied, NotFound),
    ),
    Route("GET", "/events", watch_parts, "What happens", "events", media_type="text/event-stream"),
]
DOCUMENT = document(ROUTES, title="Parts", version="1", description="All & sundry.")


@pytest.fixture
async def api() -> AsyncIterator[tuple[ClientSession, str]]:
    """A client, and the address of a listener on these routes."""
    app = guard.application(
        {},
        ROUTES,
        pages.page_routes(DOCUMENT),
        token=TOKEN,
        message_bytes=2000,
        json_depth=20,
        any_host=False,
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with ClientSession() as client:
        yield client, f"http://{host}:{port}"
    await runner.cleanup()


def test_document_is_valid() -> None:
    """The document made from routes is OpenAPI 3.1, by the specification's own schema."""
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_document_says_what_routes_say() -> None:
    """Parameters, bodies, answers, errors and their descriptions come from the declarations."""
    operation = DOCUMENT["paths"]["/parts/{name}"]["delete"]
    assert operation["parameters"] == [
        {
            "name": "name",
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            "description": "Its name.",
        }
    ]
    assert list(operation["responses"]) == ["204", "401", "403", "404", "503"]
    listing = DOCUMENT["paths"]["/parts"]["get"]
    assert listing["description"] == "Lists in the order of names."
    assert [p["name"] for p in listing["parameters"]] == ["after", "limit"]
    assert list(DOCUMENT["paths"]["/parts"]["post"]["responses"]) == ["201", "400", "401", "409", "413"]
    assert set(DOCUMENT["components"]["schemas"]) == {"Page", "Part", "Problem"}
    assert DOCUMENT["security"] == [{"token": []}]


def test_page_works_without_scripts() -> None:
    """The page holds every operation and schema as plain HTML, with text escaped."""
    html = pages.render(DOCUMENT)
    for text in (
        "/parts/{name}",
        "Add a part",
        "What it is &lt;called&gt;.",
        "All &amp; sundry.",
        "text/event-stream",
    ):
        assert text in html
    assert 'href="#schema-Part"' in html
    assert 'id="schema-Part"' in html


async def test_page_is_offline_and_strict(api: tuple[ClientSession, str]) -> None:
    """The page and its parts come from the node alone, under a policy that forbids anything else."""
    client, url = api
    for path, kind in {"/": "text/html", "/api.css": "text/css", "/api.js": "text/javascript"}.items():
        async with client.get(url + path) as answer:
            assert (answer.status, answer.content_type) == (200, kind)
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "://" not in (await answer.text()).replace("http://www.w3.org", "")


async def test_openapi_is_served(api: tuple[ClientSession, str]) -> None:
    """/openapi.json is the document."""
    client, url = api
    async with client.get(url + "/openapi.json") as answer:
        assert await answer.json() == DOCUMENT


async def test_requests_are_checked_and_answered(api: tuple[ClientSession, str]) -> None:
    """A handler gets models and gives models; path parameters may hold slashes."""
    client, url = api
    for name in ("b", "a/1"):
        async with client.post(url + "/parts", json={"name": name}, headers=BEARER) as answer:
            assert answer.status == 201
            assert await answer.json() == {"name": name}
    async with client.get(url + "/parts?limit=1&after=a", headers=BEARER) as answer:
        assert await answer.json() == {"parts": [{"name": "a/1"}]}
    async with client.delete(url + "/parts/a%2F1", headers=BEARER) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    async with client.get(url + "/events", headers=BEARER) as answer:
        assert await answer.text() == "data: 1\n\n"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "reason"),
    [
        ("GET", "/parts?limit=x", None, 400, "bad-request", "limit: Input should be a valid integer"),
        ("GET", "/parts?limti=1", None, 400, "bad-request", "limti: Extra inputs are not permitted"),
        (
            "POST",
            "/parts",
            b'{"name": 1, "mas": 2}',
            400,
            "bad-request",
            "name: Input should be a valid string",
        ),
        ("POST", "/parts", b"[]", 400, "bad-request", "body: Input should be a valid dictionary"),
        ("POST", "/parts", b"{", 400, "bad-request", "The body is not JSON"),
        ("POST", "/parts", b"[" * 90 + b"]" * 90, 400, "bad-request", "The body is nested deeper than 20"),
        ("POST", "/parts", b'{"name": "' + b"x" * 3000 + b'"}', 413, "bad-request", "the body is larger"),
        ("DELETE", "/parts/none", None, 404, "not-found", "no such part"),
        ("DELETE", "/parts/mine", None, 403, "policy-denied", "no"),
        ("DELETE", "/parts/fake", None, 502, "not-authenticated", "who?"),
        ("DELETE", "/parts/busy", None, 503, "unavailable", "not now"),
        ("GET", "/nothing", None, 404, "not-found", "there is no /nothing"),
        ("PUT", "/parts", None, 405, "bad-request", "PUT is not possible here, only GET, POST"),
    ],
)
async def test_errors_tell_why(
    api: tuple[ClientSession, str],
    method: str,
    path: str,
    body: bytes | None,
    status: int,
    code: str,
    reason: str,
) -> None:
    """Whatever fails is told as JSON, with a status, a code and reasons."""
    client, url = api
    headers = BEARER | ({"Content-Type": "application/json"} if body else {})
    async with client.request(method, url + path, data=body, headers=headers) as answer:
        told = await answer.json()
        assert (answer.status, told["code"]) == (status, code)
        assert told["reasons"][0].startswith(reason)
        assert answer.headers.get("Retry-After") == ("2" if status == 503 else None)


async def test_only_json_is_read(api: tuple[ClientSession, str]) -> None:
    """A form, which any page could post, is not read as JSON."""
    client, url = api
    async with client.post(url + "/parts", data=b'{"name": "x"}', headers=BEARER) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer " + "u" * 43},
        {"Authorization": f"Basic {TOKEN}"},
    ],
)
async def test_token_always(api: tuple[ClientSession, str], headers: dict[str, str]) -> None:
    """Without the token nothing of the API answers, not even whether a path exists."""
    client, url = api
    for path in ("/parts", "/nothing"):
        async with client.get(url + path, headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, "wrong-token")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:8081", "127.0.0.1.attacker.example", ""]
)
async def test_dns_rebinding_fails(api: tuple[ClientSession, str], host: str) -> None:
    """Under a name that is not this machine's, nothing answers: neither API nor page."""
    client, url = api
    for path in ("/parts", "/", "/openapi.json"):
        async with client.get(url + path, headers=BEARER | {"Host": host}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "wrong-host")


async def test_foreign_pages_may_not_call(api: tuple[ClientSession, str]) -> None:
    """A browser page of another origin is refused even with the token; the own page is not."""
    client, url = api
    for origin, status in {
        "https://attacker.example": 403,
        "null": 403,
        "http://127.0.0.1:1": 403,
        url: 200,
    }.items():
        async with client.get(url + "/parts", headers=BEARER | {"Origin": origin}) as answer:
            assert answer.status == status
            assert "Access-Control-Allow-Origin" not in answer.headers


def test_token_file(tmp_path: Path) -> None:
    """A token is read only from a file that nobody else may read, and only if it is long enough."""
    path = tmp_path / "management.token"
    with pytest.raises(InvalidFile, match="no such file; `anode init` makes it"):
        guard.read_token(path)
    path.write_text(TOKEN + "\n")
    path.chmod(0o640)
    with pytest.raises(InvalidFile, match=r"others may read this token \(mode 0640\); run: chmod 600"):
        guard.read_token(path)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert guard.read_token(path) == TOKEN
    path.write_text("short")
    with pytest.raises(InvalidFile, match="needs 32 or more characters") as caught:
        guard.read_token(path)
    assert "short" not in str(caught.value)
