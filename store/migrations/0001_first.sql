-- 0001: all that the first version remembers.
-- Old binaries: none exist. Later migrations say here whether a binary that knows only this one may read the result.
--
-- Every table says whether it is TRUSTED (nothing else holds it: losing it loses evidence) or REBUILDABLE (from
-- the chain, or from trusted tables). Times are milliseconds since 1970 UTC, in *_at or `time`. `seal` is the BLAKE3
-- digest of the row's other columns (seal.rs), 32 zero bytes until it is set at the end of the same transaction.
PRAGMA application_id = 1380011600;

-- TRUSTED. Canonical JSON bodies by SHA-256: agreements, policy sets, inventories, change requests, profiles.
CREATE TABLE bodies (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    kind TEXT NOT NULL,
    bytes BLOB NOT NULL,
    stored_at INTEGER NOT NULL
) STRICT;

-- TRUSTED. Who has read a body, as an approver must.
CREATE TABLE body_readings (
    hash BLOB NOT NULL CHECK (length(hash) = 32) REFERENCES bodies (hash),
    reader TEXT NOT NULL,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (hash, reader)
) STRICT, WITHOUT ROWID;

-- REBUILDABLE from the chain, like all tables up to chain_anchors.
CREATE TABLE blocks (
    height INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    header BLOB NOT NULL CHECK (length(header) = 32),
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;

CREATE TABLE chain_transactions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    height INTEGER NOT NULL REFERENCES blocks (height),
    place INTEGER NOT NULL,
    sender BLOB NOT NULL CHECK (length(sender) = 32),
    member TEXT,
    action TEXT NOT NULL,
    refused_code TEXT,
    refused_reason TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    UNIQUE (height, place)
) STRICT;

-- Registrations and change requests, by name.
CREATE TABLE subjects (
    kind TEXT NOT NULL CHECK (kind IN ('agreement', 'policy-set', 'inventory', 'change')),
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    action BLOB NOT NULL,
    statement BLOB NOT NULL CHECK (length(statement) = 32),
    body BLOB CHECK (body IS NULL OR length(body) = 32),
    agreement TEXT NOT NULL,
    agreement_version INTEGER NOT NULL,
    proposer TEXT NOT NULL,
    required TEXT NOT NULL,
    request_kind TEXT,
    window_from_at INTEGER,
    window_to_at INTEGER,
    tx BLOB NOT NULL CHECK (length(tx) = 32),
    proposed_height INTEGER NOT NULL,
    finalized_height INTEGER,
    rejected_height INTEGER,
    withdrawn_height INTEGER,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (kind, id, version)
) STRICT;

CREATE TABLE decisions (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    member TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('approve', 'reject')),
    height INTEGER NOT NULL,
    tx BLOB NOT NULL CHECK (length(tx) = 32),
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (kind, id, version, member),
    FOREIGN KEY (kind, id, version) REFERENCES subjects (kind, id, version)
) STRICT;

-- Rounds of every origin as the chain knows them.
CREATE TABLE chain_rounds (
    origin TEXT NOT NULL,
    round INTEGER NOT NULL,
    statement TEXT NOT NULL,
    opened_height INTEGER NOT NULL,
    opened_tx BLOB NOT NULL CHECK (length(opened_tx) = 32),
    deadline_at INTEGER NOT NULL,
    expected INTEGER NOT NULL,
    attestation TEXT,
    attested_height INTEGER,
    attested_tx BLOB CHECK (attested_tx IS NULL OR length(attested_tx) = 32),
    late INTEGER NOT NULL DEFAULT 0,
    missed_height INTEGER,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (origin, round)
) STRICT;

CREATE TABLE chain_anchors (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    height INTEGER NOT NULL,
    tx BLOB NOT NULL CHECK (length(tx) = 32),
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (origin, size, height)
) STRICT;

-- TRUSTED. The next sequence number of each key that signs here.
CREATE TABLE key_sequences (
    key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    next INTEGER NOT NULL CHECK (next >= 1)
) STRICT, WITHOUT ROWID;

-- TRUSTED. Signed bytes stand here before anybody sends them.
CREATE TABLE outgoing (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    key BLOB NOT NULL CHECK (length(key) = 32),
    sequence INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    bytes BLOB NOT NULL,
    staged_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('staged', 'final', 'refused')),
    height INTEGER,
    place INTEGER,
    refused_code TEXT,
    refused_reason TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
CREATE UNIQUE INDEX outgoing_purpose ON outgoing (purpose) WHERE state <> 'refused';
CREATE UNIQUE INDEX outgoing_sequence ON outgoing (key, sequence) WHERE state <> 'refused' OR height IS NOT NULL;

-- TRUSTED. One operator's own rounds: begun, then committed in one transaction with all they found.
CREATE TABLE rounds (
    round INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    opened_height INTEGER,
    started_at INTEGER NOT NULL,
    agreement BLOB NOT NULL CHECK (length(agreement) = 32),
    policy_set BLOB NOT NULL CHECK (length(policy_set) = 32),
    inventory BLOB NOT NULL CHECK (length(inventory) = 32),
    profile BLOB NOT NULL CHECK (length(profile) = 32),
    expected INTEGER NOT NULL,
    finished_at INTEGER,
    collected INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    observed INTEGER NOT NULL DEFAULT 0,
    authorised INTEGER NOT NULL DEFAULT 0,
    unauthorised INTEGER NOT NULL DEFAULT 0,
    violations_opened INTEGER NOT NULL DEFAULT 0,
    violations_resolved INTEGER NOT NULL DEFAULT 0,
    attestation BLOB,
    leaf_index INTEGER,
    attested_height INTEGER,
    attested_place INTEGER,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    CHECK (finished_at IS NULL OR expected = collected + unchanged + failed + skipped)
) STRICT;
CREATE UNIQUE INDEX rounds_one_open ON rounds (finished_at IS NULL) WHERE finished_at IS NULL;

-- TRUSTED. Stations, and what is known of them now.
CREATE TABLE stations (
    id INTEGER PRIMARY KEY,
    element TEXT NOT NULL UNIQUE,
    last_round INTEGER,
    last_outcome TEXT,
    failed_in_a_row INTEGER NOT NULL DEFAULT 0,
    -- The last complete read, whether or not it differed.
    read_round INTEGER,
    read_opened INTEGER,
    read_at INTEGER
) STRICT;

-- TRUSTED. What became of each station in each round.
CREATE TABLE results (
    round INTEGER NOT NULL REFERENCES rounds (round),
    station INTEGER NOT NULL REFERENCES stations (id),
    outcome TEXT NOT NULL CHECK (outcome IN ('collected', 'unchanged', 'failed', 'skipped')),
    reason TEXT,
    detail TEXT,
    read_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (round, station)
) STRICT, WITHOUT ROWID;
CREATE INDEX results_failed ON results (station, round) WHERE outcome IN ('failed', 'skipped');

-- TRUSTED. Names of objects, each under its station.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    station INTEGER NOT NULL REFERENCES stations (id),
    dn TEXT NOT NULL,
    UNIQUE (station, dn)
) STRICT;
CREATE INDEX names_dn ON names (dn);

-- TRUSTED. Objects by BLAKE3 digest (model::Object). `encoding`: 0 JSON as it is, 1 zstd, 2 zstd with the bytes of
-- `base` as dictionary. `depth` bounds the chain of bases.
CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    name INTEGER NOT NULL REFERENCES names (id),
    encoding INTEGER NOT NULL CHECK (encoding IN (0, 1, 2)),
    base INTEGER REFERENCES objects (id),
    depth INTEGER NOT NULL,
    length INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    CHECK ((base IS NULL) = (encoding <> 2))
) STRICT;

-- TRUSTED. From `round` on the object of this name was `object`; NULL: it was gone. A snapshot is the newest
-- version of each name of a station.
CREATE TABLE versions (
    name INTEGER NOT NULL REFERENCES names (id),
    round INTEGER NOT NULL REFERENCES rounds (round),
    object INTEGER REFERENCES objects (id),
    PRIMARY KEY (name, round)
) STRICT, WITHOUT ROWID;

-- TRUSTED. One row for each read that differed from the one before.
CREATE TABLE snapshots (
    station INTEGER NOT NULL REFERENCES stations (id),
    round INTEGER NOT NULL REFERENCES rounds (round),
    read_at INTEGER NOT NULL,
    interpretation BLOB NOT NULL CHECK (length(interpretation) = 32),
    root BLOB NOT NULL CHECK (length(root) = 32),
    raw BLOB NOT NULL CHECK (length(raw) = 32),
    findings TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (station, round)
) STRICT;

-- TRUSTED, but only the newest few of each station are kept. zstd of the reply as it came.
CREATE TABLE raw_replies (
    station INTEGER NOT NULL REFERENCES stations (id),
    round INTEGER NOT NULL REFERENCES rounds (round),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    length INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (station, round)
) STRICT;

-- TRUSTED. Differences previous -> current seen in a round, with what the judge said.
CREATE TABLE edits (
    id INTEGER PRIMARY KEY,
    round INTEGER NOT NULL REFERENCES rounds (round),
    station INTEGER NOT NULL REFERENCES stations (id),
    object TEXT NOT NULL,
    attribute TEXT NOT NULL,
    edit TEXT NOT NULL,
    authorisation TEXT,
    request TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
CREATE INDEX edits_round ON edits (round);
CREATE INDEX edits_object ON edits (object, round);
CREATE INDEX edits_station ON edits (station, round);

-- TRUSTED. Which baseline requests were taken over, so that a repeated one does not undo later advances.
CREATE TABLE baselines (
    request TEXT NOT NULL PRIMARY KEY,
    height INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE baseline_stations (
    station INTEGER PRIMARY KEY REFERENCES stations (id),
    request TEXT NOT NULL REFERENCES baselines (request),
    height INTEGER NOT NULL
) STRICT;

-- TRUSTED. Approved state: an object as some request approved it as a whole, then single attributes over it.
CREATE TABLE approved_objects (
    name INTEGER PRIMARY KEY REFERENCES names (id),
    object INTEGER NOT NULL REFERENCES objects (id),
    request TEXT NOT NULL,
    height INTEGER NOT NULL
) STRICT;

CREATE TABLE approved_attributes (
    name INTEGER NOT NULL REFERENCES approved_objects (name) ON DELETE CASCADE,
    attribute TEXT NOT NULL,
    -- NULL: approved to be absent.
    value TEXT,
    request TEXT NOT NULL,
    height INTEGER NOT NULL,
    PRIMARY KEY (name, attribute)
) STRICT, WITHOUT ROWID;

-- TRUSTED. Every move of approved state by an executed approval.
CREATE TABLE advances (
    id INTEGER PRIMARY KEY,
    round INTEGER NOT NULL REFERENCES rounds (round),
    station INTEGER NOT NULL REFERENCES stations (id),
    object TEXT NOT NULL,
    attribute TEXT NOT NULL,
    request TEXT NOT NULL,
    height INTEGER NOT NULL
) STRICT;
CREATE INDEX advances_station ON advances (station);

-- TRUSTED. `violation` is the whole model::Violation as JSON; the other columns repeat it for filters.
CREATE TABLE violations (
    id TEXT NOT NULL PRIMARY KEY,
    station INTEGER NOT NULL REFERENCES stations (id),
    element TEXT NOT NULL,
    object TEXT NOT NULL,
    attribute TEXT NOT NULL,
    rule TEXT NOT NULL,
    severity TEXT NOT NULL,
    authorisation TEXT NOT NULL,
    operator TEXT NOT NULL,
    state TEXT NOT NULL,
    first_round INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    assignee TEXT,
    violation TEXT NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
CREATE INDEX violations_newest ON violations (first_seen_at, id);
CREATE INDEX violations_unresolved ON violations (station) WHERE state <> 'resolved';
CREATE INDEX violations_object ON violations (object);

-- TRUSTED. What people and rounds did to a violation.
CREATE TABLE violation_actions (
    id INTEGER PRIMARY KEY,
    violation TEXT NOT NULL REFERENCES violations (id),
    verb TEXT NOT NULL,
    actor TEXT NOT NULL,
    acted_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    state_before TEXT NOT NULL,
    state_after TEXT NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
CREATE INDEX violation_actions_of ON violation_actions (violation);

-- TRUSTED.
CREATE TABLE waivers (
    id TEXT NOT NULL PRIMARY KEY,
    rule TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    waiver TEXT NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;

-- TRUSTED. How far requests have been carried out, and by which observed edits.
CREATE TABLE request_progress (
    request TEXT NOT NULL PRIMARY KEY,
    progress TEXT NOT NULL,
    round INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE request_edits (
    request TEXT NOT NULL,
    object TEXT NOT NULL,
    attribute TEXT NOT NULL,
    round INTEGER NOT NULL,
    PRIMARY KEY (request, object, attribute)
) STRICT, WITHOUT ROWID;

-- TRUSTED. Openings of commitments; losing one is a failure to open. A version ends where the next begins.
CREATE TABLE openings (
    name INTEGER NOT NULL REFERENCES names (id),
    attribute TEXT NOT NULL,
    version INTEGER NOT NULL,
    salt BLOB NOT NULL CHECK (length(salt) = 32),
    value TEXT NOT NULL,
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    since INTEGER NOT NULL REFERENCES rounds (round),
    until INTEGER REFERENCES rounds (round),
    PRIMARY KEY (name, attribute, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX openings_standing ON openings (name, attribute) WHERE until IS NULL;

-- TRUSTED. Leaves that wait for an index, in this order.
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    round INTEGER NOT NULL REFERENCES rounds (round),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    envelope BLOB NOT NULL,
    record TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;

-- TRUSTED. The operator's log. Indices never change once assigned; those at or past the anchored size are staged.
CREATE TABLE log_leaves (
    leaf INTEGER PRIMARY KEY,
    round INTEGER NOT NULL REFERENCES rounds (round),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    envelope BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    record TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
CREATE INDEX log_leaves_subject ON log_leaves (kind, subject);
CREATE INDEX log_leaves_round ON log_leaves (round);

-- TRUSTED. Every checkpoint that was signed, one root for one size for ever. Final on the chain where height is set;
-- applied where its leaves count as anchored here.
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    root BLOB NOT NULL CHECK (length(root) = 32),
    note TEXT NOT NULL,
    height INTEGER,
    place INTEGER,
    applied INTEGER NOT NULL DEFAULT 0 CHECK (applied IN (0, 1)),
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;

-- TRUSTED. The growth that is under way, at most one: leaves old_size .. new_size.
CREATE TABLE growth (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    old_size INTEGER NOT NULL,
    new_size INTEGER NOT NULL CHECK (new_size > old_size)
) STRICT;

-- TRUSTED index of files that lie beside the database.
CREATE TABLE bundles (
    file TEXT NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    trust TEXT NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
CREATE INDEX bundles_subject ON bundles (subject);

-- Rows whose seal is still to be set.
CREATE INDEX blocks_unsealed ON blocks (seal) WHERE seal = zeroblob(32);
CREATE INDEX chain_transactions_unsealed ON chain_transactions (seal) WHERE seal = zeroblob(32);
CREATE INDEX subjects_unsealed ON subjects (seal) WHERE seal = zeroblob(32);
CREATE INDEX decisions_unsealed ON decisions (seal) WHERE seal = zeroblob(32);
CREATE INDEX chain_rounds_unsealed ON chain_rounds (seal) WHERE seal = zeroblob(32);
CREATE INDEX chain_anchors_unsealed ON chain_anchors (seal) WHERE seal = zeroblob(32);
CREATE INDEX outgoing_unsealed ON outgoing (seal) WHERE seal = zeroblob(32);
CREATE INDEX rounds_unsealed ON rounds (seal) WHERE seal = zeroblob(32);
CREATE INDEX snapshots_unsealed ON snapshots (seal) WHERE seal = zeroblob(32);
CREATE INDEX edits_unsealed ON edits (seal) WHERE seal = zeroblob(32);
CREATE INDEX violations_unsealed ON violations (seal) WHERE seal = zeroblob(32);
CREATE INDEX violation_actions_unsealed ON violation_actions (seal) WHERE seal = zeroblob(32);
CREATE INDEX waivers_unsealed ON waivers (seal) WHERE seal = zeroblob(32);
CREATE INDEX outbox_unsealed ON outbox (seal) WHERE seal = zeroblob(32);
CREATE INDEX log_leaves_unsealed ON log_leaves (seal) WHERE seal = zeroblob(32);
CREATE INDEX checkpoints_unsealed ON checkpoints (seal) WHERE seal = zeroblob(32);
CREATE INDEX bundles_unsealed ON bundles (seal) WHERE seal = zeroblob(32);
