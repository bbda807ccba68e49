-- 0003: leaves that no round of this operator wrote, second judgements, and what a judge needs of a foreign origin.
-- Old binaries refuse the result by its version: they would not expect a leaf without a round.

-- As before, but a leaf may be of no round of this operator: a second judgement of somebody else's.
CREATE TABLE outbox_3 (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    round INTEGER REFERENCES rounds (round),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    envelope BLOB NOT NULL,
    record TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
INSERT INTO outbox_3 SELECT place, round, kind, subject, envelope, record, seal FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_3 RENAME TO outbox;
CREATE INDEX outbox_subject ON outbox (kind, subject);
CREATE INDEX outbox_unsealed ON outbox (seal) WHERE seal = zeroblob(32);

CREATE TABLE log_leaves_3 (
    leaf INTEGER PRIMARY KEY,
    round INTEGER REFERENCES rounds (round),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    envelope BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    record TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
INSERT INTO log_leaves_3 SELECT leaf, round, kind, subject, envelope, hash, record, seal FROM log_leaves;
DROP TABLE log_leaves;
ALTER TABLE log_leaves_3 RENAME TO log_leaves;
CREATE INDEX log_leaves_subject ON log_leaves (kind, subject);
CREATE INDEX log_leaves_round ON log_leaves (round);
CREATE INDEX log_leaves_unsealed ON log_leaves (seal) WHERE seal = zeroblob(32);

-- TRUSTED. Up to which block the chain's word on requests and baselines counted when a round was judged: with it, and
-- with nothing else, somebody else's judgement is the same.
CREATE TABLE round_heights (
    round INTEGER PRIMARY KEY REFERENCES rounds (round),
    height INTEGER NOT NULL
) STRICT;

-- TRUSTED. Second judgements: own ones of other members' rounds, and others' of any round, those checked against the
-- mirrored log of their judge. `violation` is empty in a round's summary; `leaf` is the index in the judge's log, NULL
-- for own ones (log_leaves has it). `record` is canonical JSON.
CREATE TABLE judgements (
    judge TEXT NOT NULL,
    origin TEXT NOT NULL,
    round INTEGER NOT NULL,
    id TEXT NOT NULL,
    violation TEXT NOT NULL,
    record TEXT NOT NULL,
    commitment BLOB NOT NULL CHECK (length(commitment) = 32),
    leaf INTEGER,
    stored_at INTEGER NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (judge, origin, id)
) STRICT;
CREATE INDEX judgements_violation ON judgements (origin, violation);
CREATE INDEX judgements_round ON judgements (origin, round);
CREATE INDEX judgements_unsealed ON judgements (seal) WHERE seal = zeroblob(32);

-- TRUSTED. In a second store: rounds that were looked at, refused ones too (those are in no other table). `mirrored`:
-- mirror_attributes is the map of this round. `delivery` (JSON) is what the main store has still to get, `disputes`
-- (JSON) what is still to be put on the chain; NULL once that is done.
CREATE TABLE second_rounds (
    round INTEGER PRIMARY KEY,
    attestation BLOB NOT NULL CHECK (length(attestation) = 32),
    began INTEGER NOT NULL CHECK (began IN (0, 1)),
    mirrored INTEGER NOT NULL CHECK (mirrored IN (0, 1)),
    delivery TEXT,
    disputes TEXT,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
CREATE INDEX second_rounds_pending ON second_rounds (round) WHERE delivery IS NOT NULL OR disputes IS NOT NULL;
CREATE INDEX second_rounds_unsealed ON second_rounds (seal) WHERE seal = zeroblob(32);

-- TRUSTED, though the origin would disclose it again. In a second store: the attribute map of the newest mirrored round.
CREATE TABLE mirror_attributes (
    key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    commitment BLOB NOT NULL CHECK (length(commitment) = 32)
) STRICT, WITHOUT ROWID;
