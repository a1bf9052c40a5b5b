"""The management API's own page: made from the OpenAPI document, readable offline and without scripts."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

_FOLDER = Path(__file__).parent / "page"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def page_routes(document: Mapping[str, Any]) -> list[web.RouteDef]:
    """`/`, its style and script, and `/openapi.json`. Nothing in them is the operator's: no token needed."""
    return [
        _static("/", render(document).encode(), "text/html"),
        _static("/openapi.json", orjson.dumps(document), "application/json"),
        _static("/api.css", (_FOLDER / "api.css").read_bytes(), "text/css"),
        _static("/api.js", (_FOLDER / "api.js").read_bytes(), "text/javascript"),
    ]


def _static(path: str, body: bytes, content_type: str) -> web.RouteDef:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return web.get(path, serve)


def render(document: Mapping[str, Any]) -> str:
    """The page, as HTML. Everything can be read without scripts; with them, requests can be sent from it."""
    info = document["info"]
    sections = [_section(document, tag["name"]) for tag in document["tags"]]
    links = "".join(
        f'<li><a href="#{escape(t["name"])}">{escape(t["name"])}</a></li>' for t in document["tags"]
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/api.css">
<script src="/api.js" defer></script>
</head>
<body>
<header>
<h1>{escape(info["title"])} <small>{escape(info["version"])}</small></h1>
<p>{escape(info["description"])}</p>
<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>
<form id="access" hidden>
<label>Token <input id="token" type="password" autocomplete="off" spellcheck="false"></label>
<span>The content of <code>management.token</code>. It stays in this page.</span>
</form>
</header>
<nav aria-label="Sections"><ul>{links}<li><a href="#schemas">schemas</a></li></ul></nav>
<main>
{"".join(sections)}
<section id="schemas"><h2>schemas</h2>
{"".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())}
</section>
</main>
</body>
</html>
"""


def _section(document: Mapping[str, Any], tag: str) -> str:
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"]
    ]
    return f'<section id="{escape(tag)}"><h2>{escape(tag)}</h2>\n{"".join(operations)}</section>\n'


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [f"<p>{escape(operation['description'])}</p>" if "description" in operation else ""]
    if parameters := operation.get("parameters"):
        rows = [(p["name"], p["in"], kind(p["schema"]), p.get("description", "")) for p in parameters]
        parts.append(_table(("Parameter", "In", "Type", "Meaning"), rows))
    if body := operation.get("requestBody"):
        parts.append(f"<p>Body: {kind(body['content']['application/json']['schema'])}</p>")
    answers = [(status, *_answer(answer)) for status, answer in operation["responses"].items()]
    parts.append(_table(("Status", "Body", "Meaning"), answers))
    return (
        f'<details id="{escape(operation["operationId"])}" data-method="{method.upper()}" '
        f'data-path="{escape(path)}"><summary><b class="{method}">{method.upper()}</b> '
        f"<code>{escape(path)}</code> {escape(operation['summary'])}</summary>{''.join(parts)}</details>\n"
    )


def _answer(answer: Mapping[str, Any]) -> tuple[str, str]:
    content: Mapping[str, Any] = answer.get("content", {})
    media_type = next(iter(content), "")
    body = content.get(media_type, {})
    shown = kind(body["schema"]) if "schema" in body else escape(media_type)
    return shown, answer["description"]


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (key + ("" if key in required else " (optional)"), kind(part), part.get("description", ""))
        for key, part in schema.get("properties", {}).items()
    ]
    body = _table(("Key", "Type", "Meaning"), rows) if rows else f"<p>{kind(schema)}</p>"
    text = f"<p>{escape(' '.join(schema['description'].split()))}</p>" if "description" in schema else ""
    name = escape(name)
    return f'<details id="schema-{name}"><summary><code>{name}</code></summary>{text}{body}</details>\n'


def kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, as HTML; named schemas are links."""
    return " or ".join(_kinds(schema))


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        yield f'<a href="#schema-{name}">{name}</a>'
    elif "anyOf" in schema or "oneOf" in schema:
        for part in schema.get("anyOf", []) + schema.get("oneOf", []):
            yield from _kinds(part)
    elif "enum" in schema:
        yield from (f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    elif "const" in schema:
        yield f"<code>{escape(str(schema['const']))}</code>"
    elif schema.get("type") == "array":
        yield f"list of {kind(schema.get('items', {}))}"
    else:
        yield escape(str(schema.get("type", "anything")))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the cells of column "Type" and "Body" are HTML already, the rest is text."""
    ready = {"Type", "Body"}
    top = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{c if h in ready else escape(c)}</td>" for h, c in zip(head, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
