-- 0007: objects and raw replies as copies of what they are over.
-- Old binaries refuse the result by its version: they would take such bytes for zstd.

-- No table changes. Where objects.encoding is 2 and where raw_replies.depth is not 0, `bytes` that begin with 01 say what is copied
-- from the base, or the reply before, and what is put in (delta.rs); all others are zstd, as before. New objects have no base or
-- one without a base; those of before with deeper ones stay.
