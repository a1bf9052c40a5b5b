"""What settings mean to the flows: whom to believe, who is in which group, what we need."""

from connector.config import Config
from connector.dcp.trust import ANY, Trust
from connector.errors import InvalidFile
from connector.odrl import authoring
from connector.odrl.compile import compile_policy


def resources(config: Config) -> dict[str, tuple[bytes, ...]]:
    """What the settings say lies at addresses. Raises InvalidFile."""
    try:
        return {
            url: tuple(path.read_bytes() for path in paths)
            for url, paths in config.credentials.resources.items()
        }
    except OSError as trouble:
        raise InvalidFile(f"{trouble.filename}: can't be read: {trouble.strerror}") from None


def requirements(config: Config) -> dict[str, authoring.Authored]:
    """What the settings say that we need as consumer. Raises InvalidFile."""
    found = authoring.load(config.negotiation.accept)
    if wrong := [a for a in found.values() if a.review or a.data]:
        raise InvalidFile(
            *(f"{a.place}: {a.id}: what we need as consumer has no `review` and no `data`" for a in wrong)
        )
    for one in found.values():
        if types := compile_policy(one.access, "access").credentials:
            raise InvalidFile(
                f"{one.place}: {one.id}: offer: providers are not asked for credentials, such as "
                f"{min(types)}: name partners or groups"
            )
    return found


def groups(config: Config) -> dict[str, frozenset[str]]:
    """The groups of each partner that is in one."""
    partners = {partner for members in config.groups.values() for partner in members}
    return {one: frozenset(name for name, found in config.groups.items() if one in found) for one in partners}


def trust(config: Config) -> Trust:
    """Whom the settings say to believe."""
    settings = config.credentials
    issuers = {type_: tuple(dids) for type_, dids in settings.trusted.items()}
    if settings.authority is not None:
        issuers[ANY] = (settings.authority, *issuers.get(ANY, ()))
    return Trust(issuers, frozenset(settings.require), frozenset(settings.present))
