-- 0005: whether a station's approved state is still the one that somebody holds in memory.
-- Old binaries refuse the result by its version: they would move the state without counting.

-- Counts the moves of the station's approved state; all that matters is whether it is another number.
ALTER TABLE stations ADD COLUMN approved_version INTEGER NOT NULL DEFAULT 0;
