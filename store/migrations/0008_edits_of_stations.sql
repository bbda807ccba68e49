-- 0008: differences of one object are found among those of its station.
-- Old binaries refuse the result by its version: they would read through all differences for one object's.

-- Its keys are long and come in no order, so that nearly every row of a round cost one more page of the tree.
DROP INDEX edits_object;
