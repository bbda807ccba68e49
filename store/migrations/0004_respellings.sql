-- 0004: readings of one reply under two interpretations.
-- Old binaries refuse the result by its version: they would disclose such a round without them.

-- TRUSTED. Where a station's last reply reads otherwise under the interpretation that `round` began, as edits. Not changes
-- of the station.
CREATE TABLE respellings (
    id INTEGER PRIMARY KEY,
    round INTEGER NOT NULL REFERENCES rounds (round),
    station INTEGER NOT NULL REFERENCES stations (id),
    edit TEXT NOT NULL,
    seal BLOB NOT NULL DEFAULT (zeroblob(32)) CHECK (length(seal) = 32)
) STRICT;
CREATE INDEX respellings_round ON respellings (round, station);
CREATE INDEX respellings_unsealed ON respellings (seal) WHERE seal = zeroblob(32);
