"""The tables, version by version. Times are epoch seconds; documents are JSON text.

A store of an earlier version is brought up by the steps that it lacks. A step that was released is never
changed.
"""

_FIRST = """
CREATE TABLE processes (
    pid TEXT PRIMARY KEY, subject TEXT NOT NULL, role TEXT NOT NULL, participant TEXT NOT NULL,
    peer_pid TEXT, address TEXT, state TEXT, pending TEXT, accepted TEXT NOT NULL, steps INTEGER NOT NULL,
    reason TEXT, details TEXT NOT NULL, created REAL NOT NULL, changed REAL NOT NULL
);
CREATE INDEX processes_peer ON processes (subject, role, participant, peer_pid);
CREATE INDEX processes_open ON processes (participant, subject)
    WHERE state NOT IN ('FINALIZED', 'COMPLETED', 'TERMINATED');

-- At most one message of ours on its way in each process.
CREATE TABLE outbox (
    pid TEXT PRIMARY KEY, message_id TEXT NOT NULL, kind TEXT NOT NULL, url TEXT NOT NULL,
    participant TEXT NOT NULL, body BLOB NOT NULL, attempts INTEGER NOT NULL, created REAL NOT NULL,
    next_try REAL NOT NULL, deadline REAL NOT NULL, problem TEXT, doubts INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE history (
    number INTEGER PRIMARY KEY, pid TEXT NOT NULL, at REAL NOT NULL, direction TEXT NOT NULL,
    kind TEXT NOT NULL, state TEXT, note TEXT
);
CREATE INDEX history_pid ON history (pid, number);

CREATE TABLE agreements (
    role TEXT NOT NULL, id TEXT NOT NULL, participant TEXT NOT NULL, dataset TEXT NOT NULL,
    document TEXT NOT NULL, digest TEXT NOT NULL, agreed REAL NOT NULL, negotiation TEXT NOT NULL,
    in_force INTEGER NOT NULL,
    PRIMARY KEY (role, id, participant)
) WITHOUT ROWID;

CREATE TABLE datasets (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, source TEXT NOT NULL,
    definition TEXT NOT NULL, origin TEXT NOT NULL, changed REAL NOT NULL
);
CREATE INDEX datasets_origin ON datasets (origin, id);
-- `members` is what follows `hasPolicy` in the DCAT document, made once when the dataset is published. It
-- stands with each offer, so that a page of the catalog is one run through one table.
CREATE TABLE offers (
    policy TEXT NOT NULL, dataset TEXT NOT NULL, members BLOB NOT NULL, PRIMARY KEY (policy, dataset)
) WITHOUT ROWID;
CREATE INDEX offers_dataset ON offers (dataset);
CREATE TABLE properties (
    name TEXT NOT NULL, value TEXT NOT NULL, dataset TEXT NOT NULL, PRIMARY KEY (name, value, dataset)
) WITHOUT ROWID;
CREATE INDEX properties_dataset ON properties (dataset);

-- Tokens of the data plane, by digest: who reads the store can't use them.
CREATE TABLE tokens (
    digest BLOB PRIMARY KEY, transfer TEXT NOT NULL, pair INTEGER NOT NULL, refreshes INTEGER NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX tokens_transfer ON tokens (transfer, pair);

-- Status lists of credentials issued here; `given` has a bit for each index that a credential holds.
CREATE TABLE status_lists (
    series TEXT NOT NULL, number INTEGER NOT NULL, given BLOB NOT NULL, used INTEGER NOT NULL,
    bits BLOB NOT NULL, changed REAL NOT NULL,
    PRIMARY KEY (series, number)
);

CREATE TABLE files (origin TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
"""

_CREDENTIALS = """
-- Credentials of ours, given by issuers. `format` is a credential profile of DCP; `token` the credential.
CREATE TABLE wallet (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, issuer TEXT NOT NULL, format TEXT NOT NULL, token TEXT NOT NULL,
    document TEXT NOT NULL, request TEXT, received REAL NOT NULL, until REAL
) WITHOUT ROWID;

-- What we have asked issuers for, or have been offered by them.
CREATE TABLE credential_requests (
    pid TEXT PRIMARY KEY, issuer TEXT NOT NULL, objects TEXT NOT NULL, status TEXT NOT NULL,
    issuer_pid TEXT, reason TEXT, created REAL NOT NULL, changed REAL NOT NULL
) WITHOUT ROWID;

-- What holders have asked us for, and credentials given unasked. `message` is what remains to be delivered.
CREATE TABLE issuances (
    pid TEXT PRIMARY KEY, holder TEXT NOT NULL, holder_pid TEXT, objects TEXT NOT NULL, status TEXT NOT NULL,
    reason TEXT, message BLOB, attempts INTEGER NOT NULL, next_try REAL NOT NULL, problem TEXT, token TEXT,
    created REAL NOT NULL, changed REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX issuances_holder ON issuances (holder, created);
CREATE INDEX issuances_message ON issuances (next_try) WHERE message IS NOT NULL;
CREATE INDEX issuances_waiting ON issuances (holder) WHERE status = 'RECEIVED';

-- Credentials that we have issued to participants.
CREATE TABLE issued (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, holder TEXT NOT NULL, format TEXT NOT NULL,
    document TEXT NOT NULL, issued REAL NOT NULL, until REAL, state TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX issued_holder ON issued (holder, id);

-- What participants have presented: data requests are decided by it after a restart, too.
CREATE TABLE presented (
    participant TEXT PRIMARY KEY, asked TEXT NOT NULL, credentials TEXT NOT NULL, verified REAL NOT NULL
) WITHOUT ROWID;
"""

_USES = """
-- Uses of agreements whose policies count them, as provider.
CREATE TABLE uses (
    agreement TEXT NOT NULL, participant TEXT NOT NULL, number INTEGER NOT NULL, first REAL NOT NULL,
    last REAL NOT NULL,
    PRIMARY KEY (agreement, participant)
) WITHOUT ROWID;

-- Keys of the pseudonyms that are given under an agreement. They never leave.
CREATE TABLE pseudonyms (
    agreement TEXT NOT NULL, participant TEXT NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (agreement, participant)
) WITHOUT ROWID;
"""

_DERIVED = """
-- Datasets made from what others agreed to give: found without looking at all.
CREATE INDEX datasets_derived ON datasets (json_extract(source, '$.derived_from'))
    WHERE json_extract(source, '$.derived_from') IS NOT NULL;
"""

_DUTIES = """
-- How far each agreement that came into force has come. `next_moment` is when its terms turn next (0: to be
-- worked out), `ends` when they allow nothing any more.
CREATE TABLE courses (
    role TEXT NOT NULL, agreement TEXT NOT NULL, participant TEXT NOT NULL, state TEXT NOT NULL,
    next_moment REAL, ends REAL, ended REAL, retired_by TEXT, reason TEXT,
    PRIMARY KEY (role, agreement, participant)
) WITHOUT ROWID;
CREATE INDEX courses_next ON courses (next_moment) WHERE next_moment IS NOT NULL;
INSERT INTO courses (role, agreement, participant, state, next_moment)
    SELECT role, id, participant, 'running', 0 FROM agreements WHERE in_force;
CREATE INDEX processes_agreement ON processes (json_extract(details, '$.agreement'))
    WHERE subject = 'transfer';

-- Duties that are tracked. `ours` says that this node's operator owes them.
CREATE TABLE duties (
    id TEXT PRIMARY KEY, role TEXT NOT NULL, agreement TEXT NOT NULL, participant TEXT NOT NULL,
    path TEXT NOT NULL, action TEXT NOT NULL, says TEXT NOT NULL, event TEXT NOT NULL, ours INTEGER NOT NULL,
    state TEXT NOT NULL, event_at REAL, due REAL, next_moment REAL, evidence TEXT, history TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX duties_agreement ON duties (role, agreement, participant);
CREATE INDEX duties_next ON duties (next_moment) WHERE next_moment IS NOT NULL;
CREATE INDEX duties_open ON duties (due, id) WHERE state IN ('due', 'reminded', 'breached');

-- What the two sides of an agreement have signed about it since. `next_moment` is when ours is tried next.
CREATE TABLE statements (
    participant TEXT NOT NULL, jti TEXT NOT NULL, direction TEXT NOT NULL, role TEXT NOT NULL,
    agreement TEXT NOT NULL, kind TEXT NOT NULL, token TEXT NOT NULL, at REAL NOT NULL,
    attempts INTEGER NOT NULL, next_moment REAL, told REAL, problem TEXT,
    PRIMARY KEY (participant, jti)
) WITHOUT ROWID;
CREATE INDEX statements_agreement ON statements (agreement, participant);
CREATE INDEX statements_next ON statements (next_moment) WHERE next_moment IS NOT NULL;
"""

_NEWEST = """
-- Lists begin with the newest agreement.
CREATE INDEX agreements_newest ON agreements (agreed, id);
CREATE INDEX agreements_dataset ON agreements (dataset) WHERE role = 'PROVIDER';

-- A refused request for data is found by the name that its provider gave it.
CREATE INDEX processes_told ON processes (json_extract(details, '$.told[0].request'))
    WHERE json_extract(details, '$.told[0].request') IS NOT NULL;
"""

STEPS = (_FIRST, _CREDENTIALS, _USES, _DERIVED, _DUTIES, _NEWEST)
VERSION = len(STEPS)
