-- 0009: violations of one object are found among those of its station.
-- Old binaries refuse the result by its version: they would read through all violations for one object's or one station's.

-- One tree instead of two, with short keys, for what is open at a station, all of a station's, and one object's.
DROP INDEX violations_object;
DROP INDEX violations_unresolved;
CREATE INDEX violations_station ON violations (station, state);
