"""The management API as the commands use it: of the node whose settings they read, while it runs."""

import http
import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from connector.cli.output import Common
from connector.config import Config
from connector.errors import AnodeError, InvalidFile, Unavailable

_TIMEOUT = 60.0
"""Seconds of silence: twice what a peer may take."""
_LONGEST = 86_400.0


class Told(AnodeError):
    """An error as the API told it."""

    def __init__(self, code: str, *reasons: str) -> None:
        super().__init__(*reasons)
        self.code = code


def address_file(config: Config) -> Path:
    """Where a running node says its management API is: beside the token."""
    return config.management.token_file.with_suffix(".address")


class Api:
    """Calls to a running node. `url` is of its management listener."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._place = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}"}

    @classmethod
    def of(cls, common: Common) -> "Api":
        """The node whose settings these are.

        :raises Unavailable: it does not run.
        """
        return cls.at(common.settings(), common.path())

    @classmethod
    def at(cls, config: Config, path: Path) -> "Api":
        """The same, with the settings in hand; `path` is named in errors."""
        try:
            url = address_file(config).read_text().strip()
        except FileNotFoundError:
            raise _not_running(path) from None
        try:
            return cls(url, config.management.token_file.read_text().strip())
        except OSError as problem:
            raise InvalidFile(f"{config.management.token_file}: can't be read: {problem.strerror}") from None

    def get(self, path: str, **query: Any) -> Any:
        """GET; the JSON that is answered."""
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST a JSON body; the JSON that is answered."""
        return self._call("POST", path, body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self._call("DELETE", path)

    def _call(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        with self._answer(method, path, body, query=query) as answer:
            content = answer.read()
        return orjson.loads(content) if content else None

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT,
    ) -> Iterator[http.client.HTTPResponse]:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        sent = {**self._headers, **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self._place, timeout=timeout)
        try:
            try:
                connection.request(method, target, None if body is None else orjson.dumps(body), sent)
                answer = connection.getresponse()
            except ConnectionRefusedError:
                raise Unavailable(f"no node answers at {self.url}; start it with `anode serve`") from None
            if answer.status >= 400 and answer.status != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _told(answer)
            yield answer
        except TimeoutError:
            raise Unavailable(f"the node at {self.url} was silent for {timeout:.0f} s") from None
        except (OSError, http.client.HTTPException) as problem:
            raise Unavailable(f"the connection to the node at {self.url} broke off: {problem}") from None
        finally:
            connection.close()

    def steps(self, pid: str, deadline: float) -> Iterator[dict[str, Any]]:
        """What happened in a process, and what happens, until `deadline` (of `time.monotonic`).

        :raises Unavailable: the deadline has passed, or the node has stopped; the process goes on.
        """
        seen = "0"
        while (left := deadline - time.monotonic()) > 0:
            headers = {"Last-Event-ID": seen}
            try:
                with self._answer(
                    "GET", "/events", query={"pid": pid}, headers=headers, timeout=min(left, _LONGEST)
                ) as told:
                    for line in told:
                        name, _, value = line.decode().rstrip().partition(": ")
                        if name == "id":
                            seen = value
                        elif name == "data":
                            yield orjson.loads(value)
                        if time.monotonic() > deadline:
                            break
            except Unavailable:
                if time.monotonic() < deadline:
                    raise
        raise Unavailable(f"not done yet; it goes on by itself: `anode status {pid}`")

    @contextmanager
    def data(self, pid: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The data of a transfer, as it comes. A range that is not there (416) is an answer too."""
        with self._answer("GET", f"/transfers/{quote(pid, safe='')}/data", headers=headers) as answer:
            yield answer


def path_of(collection: str, identifier: str, *more: str) -> str:
    """A path of the API with an identifier in it."""
    return "/".join(["", collection, quote(identifier, safe=""), *more])


def _not_running(path: Path) -> Unavailable:
    return Unavailable(f"the node of {path} does not run; start it with `anode serve`")


def _told(answer: http.client.HTTPResponse) -> AnodeError:
    content = answer.read(1 << 20)
    try:
        problem = orjson.loads(content)
        return Told(str(problem["code"]), *map(str, problem["reasons"]))
    except (ValueError, LookupError, TypeError):
        return AnodeError(f"the node answered {answer.status} without saying why")
