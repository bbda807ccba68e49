-- 0002: the logs of other members as they are mirrored here, who vouched for which head, and stories that do not fit.
-- Old binaries refuse the result by its version. They would find everything that they know unchanged.
-- `origin` and `member` are member ids. Times as in 0001.

-- TRUSTED. Leaves of other members' logs, as served: whoever keeps a log may never serve it again. Those below the
-- newest head of their origin gave its root; nothing vouches for the ones past it yet.
CREATE TABLE mirror_leaves (
    origin TEXT NOT NULL,
    leaf INTEGER NOT NULL CHECK (leaf >= 0),
    envelope BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (origin, leaf)
) STRICT, WITHOUT ROWID;
CREATE INDEX mirror_leaves_hash ON mirror_leaves (origin, hash);

-- TRUSTED. Heads that the leaves here were found to give, as the chain anchored them: `note` is the anchored
-- checkpoint, `tx` the transaction. `frontier` is the borsh of anchor::Frontier over the first `size` leaves.
CREATE TABLE mirror_heads (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size > 0),
    root BLOB NOT NULL CHECK (length(root) = 32),
    note TEXT NOT NULL,
    tx BLOB NOT NULL CHECK (length(tx) = 32),
    frontier BLOB NOT NULL,
    checked_at INTEGER NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (origin, size),
    UNIQUE (origin, size, root)
) STRICT;

-- TRUSTED. What this agent's cosigner vouches for, written before the signature is made: one root for one size, sizes
-- only grow. Losing it would let the cosigner contradict itself.
CREATE TABLE cosigned (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    -- The time that the signature carries; making it again gives the same bytes.
    signed_at INTEGER NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (origin, size),
    FOREIGN KEY (origin, size, root) REFERENCES mirror_heads (origin, size, root)
) STRICT;

-- TRUSTED, though the cosigners would sign again. Cosignature lines that verified, own ones and others', over any log.
CREATE TABLE cosignatures (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    member TEXT NOT NULL,
    line TEXT NOT NULL,
    signed_at INTEGER NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (origin, size, member)
) STRICT;
CREATE INDEX cosignatures_member ON cosignatures (origin, member, size);

-- TRUSTED while they stand. Checkpoints that an origin signed and served and that could not be compared yet, because
-- the chain has not got that far.
CREATE TABLE served_notes (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    note TEXT NOT NULL,
    served_at INTEGER NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (origin, size, root)
) STRICT;

-- TRUSTED. Where an origin told another story than the one that the chain anchored. `notes`: it signed two roots of one
-- size, which proves itself to anybody. `prefix`: it signed a root of `size` that its anchored log does not begin with.
-- `leaves`: what it served as leaves of an anchored checkpoint gives another root, for which there is our word only.
CREATE TABLE forks (
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('notes', 'prefix', 'leaves')),
    -- The anchored checkpoint, of `size` or (`prefix`) of a larger one, and the root that it means for `size`.
    anchored_note TEXT NOT NULL,
    anchored_root BLOB NOT NULL CHECK (length(anchored_root) = 32),
    served_root BLOB NOT NULL CHECK (length(served_root) = 32),
    served_note TEXT,
    seen_at INTEGER NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32),
    PRIMARY KEY (origin, size, served_root, kind),
    CHECK ((served_note IS NULL) = (kind = 'leaves'))
) STRICT;

-- Rows whose seal is still to be set.
CREATE INDEX mirror_heads_unsealed ON mirror_heads (seal) WHERE seal = zeroblob(32);
CREATE INDEX cosigned_unsealed ON cosigned (seal) WHERE seal = zeroblob(32);
CREATE INDEX cosignatures_unsealed ON cosignatures (seal) WHERE seal = zeroblob(32);
CREATE INDEX served_notes_unsealed ON served_notes (seal) WHERE seal = zeroblob(32);
CREATE INDEX forks_unsealed ON forks (seal) WHERE seal = zeroblob(32);
