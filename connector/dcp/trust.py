"""Whom a node believes: issuers by credential type, and what every participant must present."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ANY = "*"
"""Stands for every credential type."""


@dataclass(frozen=True, slots=True)
class Trust:
    """`issuers` by type (`*` for all types); `required` is asked of every participant; `present` is what we
    let a participant read of ours with every request, beside what is required."""

    issuers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    required: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()

    def of(self, type_: str) -> tuple[str, ...]:
        """The issuers believed for a type.

        >>> Trust({"*": ("did:web:a",), "Member": ("did:web:b",)}).of("Member")
        ('did:web:b', 'did:web:a')
        """
        return (*self.issuers.get(type_, ()), *self.issuers.get(ANY, ()))

    @property
    def shown(self) -> frozenset[str]:
        """What of ours every participant that we speak to may read."""
        return self.required | self.present
