"""The transfer process's states (DSP 2025-1, section 9.1.2), as data.

One entry is not in the specification's table: a provider's start in STARTED. Eclipse EDC sends it after a
consumer has resumed a transfer, since only it can carry the new data address; so do we.
"""

from connector.dsp.process import Table
from connector.dsp.terms import Kind, Role, State

TRANSITIONS: Table = {
    Role.CONSUMER: {
        None: {Kind.REQUEST: State.REQUESTED},
        State.REQUESTED: {Kind.TERMINATE: State.TERMINATED},
        State.STARTED: {
            Kind.SUSPEND: State.SUSPENDED,
            Kind.COMPLETE: State.COMPLETED,
            Kind.TERMINATE: State.TERMINATED,
        },
        State.SUSPENDED: {Kind.START: State.STARTED, Kind.TERMINATE: State.TERMINATED},
    },
    Role.PROVIDER: {
        State.REQUESTED: {Kind.START: State.STARTED, Kind.TERMINATE: State.TERMINATED},
        State.STARTED: {
            Kind.START: State.STARTED,
            Kind.SUSPEND: State.SUSPENDED,
            Kind.COMPLETE: State.COMPLETED,
            Kind.TERMINATE: State.TERMINATED,
        },
        State.SUSPENDED: {Kind.START: State.STARTED, Kind.TERMINATE: State.TERMINATED},
    },
}
