-- The request log, many requests to a row: JSON lines, compressed with zstd. A row for each cost too much CPU to be kept
-- unasked. No block reaches from one hour into the next. `names` and `ids` tell what a block cannot hold, without its being
-- read; they stand before `data` so that they lie at the beginning of a row. Rows of request_log are moved into blocks by
-- whichever gateway comes first, and of gateways that still run an older version for as long as they do.
CREATE TABLE request_blocks (
    id TEXT NOT NULL PRIMARY KEY,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    requests INTEGER NOT NULL CHECK (requests > 0),
    names BLOB NOT NULL,
    ids BLOB NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX request_blocks_last ON request_blocks (last_at, id);
-- Those that are worth joining.
CREATE INDEX request_blocks_small ON request_blocks (last_at) WHERE requests < 2048;
