"""What values in settings are written like: durations, sizes, addresses, paths, DIDs.

Each is read by a function that says, by ValueError, what would do; the types are for pydantic models.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_UNIT_NAMES = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "day": "d", "week": "w"}
_SIZES = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\Z")


def seconds(value: object) -> float:
    """Seconds of `90s`, `15m`, `24h`, `7 days` or a number. ValueError says what would do."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    match = _AMOUNT.match(value.strip()) if isinstance(value, str) else None
    if match:
        name = match[2].lower()
        unit = _UNIT_NAMES.get(name.removesuffix("s"), name)
        scale = 7 * 86400 if unit in ("w", "week") else _UNITS.get(unit)
        if scale is not None:
            return float(match[1]) * scale
    raise ValueError("a duration, such as 90s, 15m, 24h or 7 days")


def size(value: object) -> int:
    """Bytes of `1 MiB`, `64 kB` or a number. ValueError says what would do."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _AMOUNT.match(value.strip()) if isinstance(value, str) else None
    scale = next((n for unit, n in _SIZES.items() if match and unit.lower() == match[2].lower()), None)
    if match is None or scale is None:
        raise ValueError("a size, such as 64 KiB or 1 MiB")
    return int(float(match[1]) * scale)


def duration_text(value: float) -> str:
    """A short text that `seconds` reads back as `value`: 600 is `10m`, 86400 is `24h`."""
    for unit, least in (("d", 2 * 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if value >= least and value % _UNITS[unit] == 0:
            return f"{int(value // _UNITS[unit])}{unit}"
    return f"{value:g}s"


def size_text(value: int) -> str:
    """The shortest text that `size` reads back as `value`: 1048576 is `1 MiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _SIZES[unit] == 0:
            return f"{value // _SIZES[unit]} {unit}"
    return str(value)


def _expected(convert: Any) -> BeforeValidator:
    def check(value: object) -> Any:
        try:
            return convert(value)
        except ValueError as problem:
            raise PydanticCustomError("expected", "{what}", {"what": str(problem)}) from None

    return BeforeValidator(check)


def _from_file(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, (str, Path)) or not str(value):
        raise PydanticCustomError("expected", "{what}", {"what": "the path of a file or folder"})
    return (info.context or {}).get("folder", Path()) / Path(value).expanduser()


def _web_address(value: object) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address such as https://connector.example")
    if parts.query or parts.fragment or parts.username or parts.port == 0:
        raise ValueError("an address without user, query or fragment, such as https://connector.example")
    return str(value).rstrip("/")


DURATION = _expected(seconds)
SIZE = _expected(size)
Duration = Annotated[float, DURATION, Field(gt=0, le=366 * 86400)]
Size = Annotated[int, SIZE, Field(gt=0)]
FilePath = Annotated[Path, BeforeValidator(_from_file)]
Address = Annotated[str, _expected(_web_address)]
Port = Annotated[int, Field(ge=0, le=65535)]
Did = Annotated[str, Field(pattern=r"^did:[a-z0-9]+:[A-Za-z0-9._:%-]+$", max_length=512)]
Group = Annotated[str, Field(min_length=1, max_length=100)]
ServiceType = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,63}$")]


def is_loopback(host: str) -> bool:
    """Whether a host name or address certainly names this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
