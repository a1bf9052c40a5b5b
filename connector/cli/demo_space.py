"""What the data space's authority does in `anode demo`: lets operators in, gives a role, takes it back."""

import time
from collections.abc import Mapping
from pathlib import Path

from connector.cli import demo_cast as cast
from connector.cli.api import path_of
from connector.cli.demo_cast import Operator, Story
from connector.cli.timeline import follow

MEMBER = "MembershipCredential"
_RECYCLER = "RecyclerCredential"
_SURVEILLANCE = "MarketSurveillanceCredential"
_USE_DATA = "https://passports.example.org/ev/A00142/use-data"
_PAUSE = 0.25


def onboarding(story: Story, issuer: Operator, operators: Mapping[str, Operator], supplier: Operator) -> None:
    """Who is not a member gets nothing; the five ask, and are let in."""
    story.scene("1. The data space lets the five in")
    oem = operators["oem"]
    said = cast.refused(lambda: cast.catalog(oem, supplier))
    story.quote(said)
    story.check(
        "before that the car maker is refused: it is told which credential it lacks, and who gives it",
        MEMBER in said and issuer.did in said,
    )
    cast.wait_for(lambda: len(_waiting(issuer)) == len(operators))
    waiting = _waiting(issuer)
    story.check(
        "each node has asked the authority by itself, when it started",
        {one["holder"] for one in waiting.values()} == {one.did for one in operators.values()},
    )
    for pid, one in waiting.items():
        done = issuer.api.post(path_of("credentials/issuances", pid, "approve"), {"claims": {}})
        story.say(f"  {one['holder']} {'has' if done['delivered'] else 'waits for'} its {MEMBER}")
    story.check(
        "its people decide, and each of the five holds its membership",
        all(MEMBER in _held(one) for one in operators.values()),
    )
    authority = operators["authority"]
    given = {"holder": authority.did, "types": [_SURVEILLANCE]}
    issuer.api.post("/credentials/issuances", given)
    story.check(
        f"the market surveillance authority has a {_SURVEILLANCE} too, without asking",
        _SURVEILLANCE in _held(authority),
    )


def admission(story: Story, recycler: Operator, oem: Operator, issuer: Operator, dataset: str) -> None:
    """The recycler is refused without its role's credential, asks for it, and gets it."""
    said = cast.refused(lambda: _negotiated(recycler, oem, dataset))
    story.quote(said)
    story.check(
        "it sees the offer, but without a RecyclerCredential it gets no agreement",
        _RECYCLER in said and issuer.did in said,
    )
    recycler.api.post("/credentials/requests", {"types": [_RECYCLER]})
    for pid in _waiting(issuer):
        claims = {"permit": "DE-HH-2026-0142"}
        issuer.api.post(path_of("credentials/issuances", pid, "approve"), {"claims": claims})
    found = recycler.api.get("/credentials/held")["credentials"]
    (token,) = [
        recycler.api.get(path_of("credentials/held", one["id"]))["token"]
        for one in found
        if one["type"] == _RECYCLER
    ]
    seen = oem.api.post("/credentials/verify", {"credential": token})
    for check in seen["checks"]:
        story.quote(f"{check['outcome']:<6} {check['what']:<10} {check['detail']}")
    story.check(
        "it asks the authority, and gets one that holds in the car maker's eyes", seen["outcome"] == "ok"
    )


def revocation(
    story: Story, issuer: Operator, recycler: Operator, oem: Operator, folder: Path, trust: int
) -> None:
    """A role that is taken back ends what runs under it, and nothing else."""
    story.scene("8. The recycler loses its permit")
    running, _ = cast.fetch(story, recycler, oem, _USE_DATA, folder / "recycler" / "use-data.jsonld")
    story.say("It may read the use data for 30 days. Then the authority takes its credential back.")
    (held,) = [
        one
        for one in issuer.api.get("/credentials/issued", holder=recycler.did)["credentials"]
        if one["type"] == _RECYCLER
    ]
    issuer.api.post(path_of("credentials/issued", held["id"], "state"), {"state": "revoked"})
    revoked, said, reads = time.monotonic(), "", 0
    while not said:
        began = time.monotonic()
        said = cast.refused(lambda: recycler.api.get(path_of("transfers", running["pid"], "data")))
        reads += not said
        if began > revoked + trust:
            break  # a status list is not believed longer than that, so this read decides
        time.sleep(0 if said else _PAUSE)
    story.quote(said)
    story.check(
        f"within the {trust} s for which the car maker's node believes a status list, reading is refused "
        f"({time.monotonic() - revoked:.1f} s; {reads} reads before)",
        "revoked" in said,
    )
    said = cast.refused(lambda: follow(recycler.api, running, {"COMPLETED"}, cast.soon(), lambda _: None))
    story.check("its running transfer has been ended, with the reason", "revoked" in said)
    said = cast.refused(lambda: _negotiated(recycler, oem, _USE_DATA))
    story.check("no new agreement is made with it, with the reason", "revoked" in said)
    public = [one["@id"] for one in cast.catalog(recycler, oem, {"point": "1"})]
    story.check("it is still a member: point 1 stays open to it", len(public) == 3)


def _negotiated(consumer: Operator, provider: Operator, dataset: str) -> None:
    asked = {"peer": provider.did, "dataset": dataset}
    process = consumer.api.post("/negotiations", asked)["process"]
    follow(consumer.api, process, {"FINALIZED"}, cast.soon(), lambda _: None)


def _waiting(issuer: Operator) -> dict[str, dict[str, str]]:
    listed = issuer.api.get("/credentials/issuances")["issuances"]
    return {one["pid"]: one for one in listed if one["status"] == "RECEIVED"}


def _held(operator: Operator) -> set[str]:
    return {one["type"] for one in operator.api.get("/credentials/held")["credentials"]}
