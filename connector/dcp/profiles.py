"""Profiles of data spaces: what is written, and each deviation from the specification by name.

`strict` is the Decentralized Claims Protocol 1.0.1 as it stands. The others deviate only where software in
the field needs it, and each says why. No profile is laxer about who signed what for whom: the audience of
presentations, the holder's and the issuer's keys, expiry, and status types that are not understood are
checked alike in all of them, although Eclipse connectors do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from connector.dcp.scopes import TRACTUSX_ALIAS, TYPE_ALIAS
from connector.vc.status import MIN_BITS, Demands

JWT_11 = "vc11-sl2021/jwt"
JWT_20 = "vc20-bssl/jwt"
FORMATS = (JWT_11, JWT_20)
"""The profiles of credentials (DCP 1.0.1, "Profiles of the Decentralized Claims Protocol") spoken here."""
OLDER_FORMATS: Mapping[str, str] = MappingProxyType(
    {"VC1_0_JWT": JWT_11, "VC2_0_JOSE": JWT_20, "jwt": JWT_11, "vc10-sl2021/jwt": JWT_11}
)
"""Other names for them in CredentialMessages of Eclipse software, and in the specification's examples."""


class Deviation(StrEnum):
    """A way in which a profile departs from the specification."""

    THREE_PART_SCOPES = "three-part-scopes"
    NO_RELATIONSHIPS = "no-relationships"
    SHORT_STATUS_LISTS = "short-status-lists"
    UNSIGNED_STATUS_LISTS = "unsigned-status-lists"
    OLDER_FORMAT_NAMES = "older-format-names"
    WRAPPED_PRESENTATIONS = "wrapped-presentations"
    TYPE_PREFIXES = "type-prefixes"
    OVER_ASKING_REFUSED = "over-asking-refused"
    LOOSE_SHAPE = "loose-shape"


@dataclass(frozen=True, slots=True)
class Profile:
    """How a data space speaks the protocol. `deviations` gives the reason for each."""

    name: str
    alias: str = TYPE_ALIAS
    """The alias that scopes are written with."""
    deviations: Mapping[Deviation, str] = field(default_factory=lambda: MappingProxyType({}))
    type_prefix: str = ""
    """What may stand before a credential's type in its data space."""

    def has(self, deviation: Deviation) -> bool:
        """Whether the profile deviates so."""
        return deviation in self.deviations

    @property
    def lists(self) -> Demands:
        """What status lists must be."""
        return Demands(
            min_bits=1 if self.has(Deviation.SHORT_STATUS_LISTS) else MIN_BITS,
            signed=not self.has(Deviation.UNSIGNED_STATUS_LISTS),
            shaped=not self.has(Deviation.LOOSE_SHAPE),
        )

    @property
    def relationships(self) -> bool:
        """Whether a DID document must list what each key is for, and not only where it says so at all."""
        return not self.has(Deviation.NO_RELATIONSHIPS)

    def scope(self, type_: str) -> str:
        """The scope that asks for a credential type, as this data space writes it."""
        return f"{self.alias}:{type_}{':read' if self.has(Deviation.THREE_PART_SCOPES) else ''}"

    def plain_type(self, type_: str) -> str:
        """A credential's type without the prefix of its data space.

        >>> PROFILES["catena-x"].plain_type("https://w3id.org/catenax/credentials/MembershipCredential")
        'MembershipCredential'
        """
        return type_.removeprefix(self.type_prefix) if self.has(Deviation.TYPE_PREFIXES) else type_

    def format(self, name: str) -> str | None:
        """The credential profile that a CredentialMessage's `format` names; None if it is none."""
        if name in FORMATS:
            return name
        return OLDER_FORMATS.get(name) if self.has(Deviation.OLDER_FORMAT_NAMES) else None


_ECLIPSE: dict[Deviation, str] = {
    Deviation.THREE_PART_SCOPES: "Identity Hub (to 0.19) refuses scopes without an operation, such as :read",
    Deviation.NO_RELATIONSHIPS: "Identity Hub's DID documents list no verification relationships",
    Deviation.SHORT_STATUS_LISTS: "Identity Hub's status lists have 16,384 bits, an eighth of the least",
    Deviation.OLDER_FORMAT_NAMES: "Identity Hub (to 0.17) names formats VC1_0_JWT and VC2_0_JOSE",
    Deviation.WRAPPED_PRESENTATIONS: "Eclipse connectors take a vp+jwt only inside a second JWT",
    Deviation.OVER_ASKING_REFUSED: "Identity Hub refuses a query that asks for more than was granted",
}

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "strict": Profile("strict"),
        "edc": Profile("edc", deviations=MappingProxyType(_ECLIPSE)),
        "catena-x": Profile(
            "catena-x",
            TRACTUSX_ALIAS,
            MappingProxyType(
                {
                    **_ECLIPSE,
                    Deviation.TYPE_PREFIXES: "Catena-X writes types bare or as IRIs of its vocabulary",
                }
            ),
            "https://w3id.org/catenax/credentials/",
        ),
    }
)
"""The profiles that settings can choose from."""
