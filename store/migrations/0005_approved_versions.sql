-- Counts the moves of a station's approved state, so that who holds it knows whether it is still that one.
ALTER TABLE stations ADD COLUMN approved_version INTEGER NOT NULL DEFAULT 0;
