"""The contract negotiation's states (DSP 2025-1, section 7.1.2), as data.

The specification's diagram lets only some parties terminate in ACCEPTED, AGREED and VERIFIED; its text
says that either may terminate at any time. We follow the text: who wants out must be able to leave.
"""

from connector.dsp.process import Table
from connector.dsp.terms import Kind, Role, State

TRANSITIONS: Table = {
    Role.CONSUMER: {
        None: {Kind.REQUEST: State.REQUESTED},
        State.REQUESTED: {Kind.TERMINATE: State.TERMINATED},
        State.OFFERED: {
            Kind.REQUEST: State.REQUESTED,
            Kind.ACCEPT: State.ACCEPTED,
            Kind.TERMINATE: State.TERMINATED,
        },
        State.ACCEPTED: {Kind.TERMINATE: State.TERMINATED},
        State.AGREED: {Kind.VERIFY: State.VERIFIED, Kind.TERMINATE: State.TERMINATED},
        State.VERIFIED: {Kind.TERMINATE: State.TERMINATED},
    },
    Role.PROVIDER: {
        None: {Kind.OFFER: State.OFFERED},
        State.REQUESTED: {
            Kind.OFFER: State.OFFERED,
            Kind.AGREE: State.AGREED,
            Kind.TERMINATE: State.TERMINATED,
        },
        State.OFFERED: {Kind.TERMINATE: State.TERMINATED},
        State.ACCEPTED: {Kind.AGREE: State.AGREED, Kind.TERMINATE: State.TERMINATED},
        State.AGREED: {Kind.TERMINATE: State.TERMINATED},
        State.VERIFIED: {Kind.FINALIZE: State.FINALIZED, Kind.TERMINATE: State.TERMINATED},
    },
}
