-- 0006: a raw reply as what it differs by from the one before it.
-- Old binaries refuse the result by its version: they would read only what stands alone.

-- 0: `bytes` is zstd by itself, as before. Else it is zstd over the reply before it of the same station, and this many of
-- them lie between it and the one that stands alone.
ALTER TABLE raw_replies ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
