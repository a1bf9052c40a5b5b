"""What the DSP kit wants the node under test to do by itself, as data.

The kit picks a case by the id of the dataset (negotiation) or of the agreement (transfer): its last four
digits are the test. A case tells which messages the node sends after which message was exchanged, whoever
sent it; each is sent once the one before is acknowledged. Where a case is silent the node sends nothing, and
only its state machine answers: what the tests call "invalid" it must refuse.
"""

import re

from connector.dsp.terms import HTTP_PULL, Kind

Case = dict[str, str]

KIT = "TCK_PARTICIPANT"  # who every caller is

# The node as provider.
PROVIDER_NEGOTIATIONS: dict[str, Case] = {
    "ACN0101": {"request": "offer"},
    "ACN0102": {"request": "offer", "second request": "terminate"},
    "ACN0103": {"request": "offer", "accept": "agree", "verify": "finalize"},
    "ACN0104": {"request": "agree", "verify": "finalize"},
    "ACN0201": {"request": "terminate"},
    "ACN0202": {},
    "ACN0203": {"request": "agree"},
    "ACN0204": {"request": "offer"},
    "ACN0205": {"request": "offer terminate"},
    "ACN0206": {"request": "offer", "accept": "terminate"},
    "ACN0207": {"request": "agree", "verify": "terminate"},
    "ACN0301": {"request": "agree", "verify": "finalize"},
    "ACN0302": {"request": "offer"},
    "ACN0303": {"request": "offer"},
    "ACN0304": {"request": "offer"},
}

# The node as consumer: the kit's hook makes it send the request.
CONSUMER_NEGOTIATIONS: dict[str, Case] = {
    "ACNC0101": {"offer": "accept", "agree": "verify"},
    "ACNC0102": {"offer": "request"},
    "ACNC0103": {"offer": "terminate"},
    "ACNC0104": {"agree": "verify"},
    "ACNC0201": {},
    "ACNC0202": {"request": "terminate"},
    "ACNC0203": {"agree": "terminate"},
    "ACNC0204": {},
    "ACNC0205": {"offer": "accept"},
    "ACNC0206": {"agree": "verify"},
    "ACNC0301": {},
    "ACNC0302": {},  # an agreement after an offer that the node never accepted is refused
    "ACNC0303": {},
    "ACNC0304": {"offer": "accept"},
    "ACNC0305": {"offer": "accept"},
    "ACNC0306": {"offer": "accept"},  # the agreement is taken and never verified
}

PROVIDER_TRANSFERS: dict[str, Case] = {
    "ATP0101": {"request": "start terminate"},
    "ATP0102": {"request": "start complete"},
    "ATP0103": {"request": "start suspend terminate"},
    "ATP0104": {"request": "start suspend start complete"},
    "ATP0105": {"request": "terminate"},
    "ATP0201": {"request": "start"},
    "ATP0202": {"request": "start"},
    "ATP0203": {"request": "start"},
    "ATP0204": {"request": "start"},
    "ATP0205": {},
    "ATP0301": {},
    "ATP0302": {},
    "ATP0303": {"request": "start"},
    "ATP0304": {"request": "start"},
    "ATP0305": {"request": "start"},
    "ATP0306": {"request": "start"},
}

CONSUMER_TRANSFERS: dict[str, Case] = {
    "ATPC0101": {},
    "ATPC0102": {},
    "ATPC0103": {},
    "ATPC0104": {},
    "ATPC0105": {},
    "ATPC0201": {"start": "terminate"},
    "ATPC0202": {"start": "complete"},
    "ATPC0203": {"start": "suspend terminate"},
    "ATPC0204": {},
    "ATPC0205": {"request": "terminate"},
    "ATPC0301": {},
    "ATPC0302": {},
    "ATPC0303": {},
    "ATPC0304": {},
    "ATPC0305": {},
    "ATPC0306": {},
}

CASES = PROVIDER_NEGOTIATIONS | CONSUMER_NEGOTIATIONS | PROVIDER_TRANSFERS | CONSUMER_TRANSFERS

# In the catalog, and alone; CAT0103 must not exist.
DATASETS = ("CAT0101", "CAT0102", *PROVIDER_NEGOTIATIONS)


def steps(case: str, exchanged: Kind, times: int) -> tuple[Kind, ...]:
    """What the node sends, in this order, after `exchanged` was exchanged for the nth time in a process."""
    when = exchanged.value if times == 1 else f"second {exchanged}"
    return tuple(Kind(kind) for kind in CASES.get(case, {}).get(when, "").split())


def offer(dataset: str) -> str:
    """The offer id under which the kit asks for a provider's dataset."""
    return f"CD123:{dataset}:456"


def settings(participant: str, base: str, dsp: str, hooks: str) -> dict[str, str]:
    """The kit's settings for the node of `participant`: its version document is under `base`, its protocol
    under `dsp`.

    `hooks` + `/negotiations` and `/transfers` make the node start a process; they take plain JSON:
    `{"providerId", "offerId", "datasetId", "connectorAddress"}`, `{"providerId", "agreementId", "format",
    "connectorAddress"}`. No URL ends in a slash.
    """
    connector = "dataspacetck.dsp.connector"
    found = {
        f"{connector}.agent.id": participant,
        f"{connector}.http.url": dsp,
        f"{connector}.http.base.url": base,
        f"{connector}.negotiation.initiate.url": f"{hooks}/negotiations",
        f"{connector}.transfer.initiate.url": f"{hooks}/transfers",
        f"{connector}.http.headers.authorization": "Bearer tck",
    }
    for case in CASES:
        protocol, role, group, number = _parts(case)
        test = "_".join(part for part in (protocol, role, group, number) if part)
        if protocol == "TP":
            found |= {f"{test}_AGREEMENTID": case, f"{test}_FORMAT": HTTP_PULL}
        else:
            found[f"{test}_DATASETID"] = case
            if not role:  # as consumer the node is told the offer by its hook
                found[f"{test}_OFFERID"] = offer(case)
    for number in ("01", "02", "03"):
        found[f"CAT_01_{number}_DATASETID"] = f"CAT01{number}"
    return found


def _parts(case: str) -> tuple[str, str, str, str]:
    match = re.fullmatch(r"A(CN|TP)(C?)(\d\d)(\d\d)", case)
    assert match, case
    protocol, role, group, number = match.groups()
    return protocol, role, group, number
