-- Prompts and answers get a table of their own: a request id is the client's choice and may come twice. Nothing has ever
-- written the columns that they had.
ALTER TABLE request_log DROP COLUMN answer;
ALTER TABLE request_log DROP COLUMN prompt;
ALTER TABLE request_log DROP COLUMN encryption_key_id;
CREATE INDEX request_log_team ON request_log (team_id, at);

CREATE TABLE request_contents (
    id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    encryption_key_id TEXT NOT NULL,
    nonce BYTEA NOT NULL,
    ciphertext BYTEA NOT NULL
);
CREATE INDEX request_contents_at ON request_contents (at);
CREATE INDEX request_contents_request ON request_contents (request_id, at);
CREATE INDEX request_contents_key ON request_contents (key_id, at);
CREATE INDEX request_contents_team ON request_contents (team_id, at);
CREATE INDEX request_contents_user ON request_contents (user_id, at);

-- What was erased, so that no gateway brings it back that had it in its queue, and each learns of it in the order of the
-- numbers. Empty texts: any.
CREATE TABLE erasures (
    id TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    until BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    requests BOOLEAN NOT NULL
);
CREATE INDEX erasures_until ON erasures (until);
CREATE INDEX erasures_number ON erasures (number);
