"""A minimum group size for records: nobody's values leave alone, only what so many have in common.

Records are alike when they have the same members and the same values in them, apart from numbers. Of those
alike, neighbours by their numbers form groups of at least the size asked for, and each number becomes its
group's mean (microaggregation). A record that has too few like it is left out. Pseudonyms do not count: they
name nothing. Records, and the members of each, come out in an order of their own, which tells nothing of
where they stood.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import orjson

_Path: TypeAlias = tuple[str | int, ...]


def grouped(records: Sequence[Any], size: int, loose: Iterable[str] = ()) -> list[Any]:
    """The records in groups of at least `size`; values that begin with one of `loose` make no difference."""
    apart = tuple(loose)
    classes: dict[bytes, list[tuple[tuple[float, ...], Any]]] = {}
    for record in records:
        leaves = sorted(_leaves(record, ()), key=lambda leaf: tuple(map(str, leaf[0])))
        kind, numbers = [], []
        for path, value in leaves:
            if _is_number(value):
                numbers.append(value)
                value = 0
            elif apart and isinstance(value, str) and value.startswith(apart):
                value = ""
            kind.append([list(path), type(value).__name__, value])
        classes.setdefault(orjson.dumps(kind), []).append((tuple(numbers), record))
    found = [made for alike in classes.values() if len(alike) >= size for made in _coarsened(alike, size)]
    return sorted(found, key=lambda record: orjson.dumps(record, option=orjson.OPT_SORT_KEYS))


def _coarsened(alike: list[tuple[tuple[float, ...], Any]], size: int) -> Iterator[Any]:
    alike.sort(key=lambda one: one[0])
    groups = len(alike) // size
    for number in range(groups):
        last = len(alike) if number == groups - 1 else (number + 1) * size
        group = alike[number * size : last]
        means = [_mean(column) for column in zip(*(numbers for numbers, _ in group), strict=True)]
        for _, record in group:
            order = sorted(
                (path for path, value in _leaves(record, ()) if _is_number(value)),
                key=lambda path: tuple(map(str, path)),
            )
            yield _with(record, (), dict(zip(order, means, strict=True)))


def _mean(values: Sequence[float]) -> float:
    """Their mean, to nine digits: more would tell of single values."""
    if len(set(values)) == 1:
        return values[0]
    return float(f"{sum(values) / len(values):.9g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _leaves(value: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for n, item in enumerate(value):
            yield from _leaves(item, (*path, n))
    else:
        yield path, value


def _with(value: Any, path: _Path, numbers: dict[_Path, float]) -> Any:
    if isinstance(value, dict):
        return {key: _with(value[key], (*path, key), numbers) for key in sorted(value)}
    if isinstance(value, list):
        return [_with(item, (*path, n), numbers) for n, item in enumerate(value)]
    return numbers.get(path, value)
