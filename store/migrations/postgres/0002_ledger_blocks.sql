-- Attempts that have ended, many to a row: JSON lines, compressed with zstd. A row for each attempt cost more than
-- everything else that a gateway does for it.
CREATE TABLE ledger_blocks (
    id TEXT NOT NULL PRIMARY KEY,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    entries BIGINT NOT NULL CHECK (entries > 0),
    data BYTEA NOT NULL
);
CREATE INDEX ledger_blocks_first ON ledger_blocks (first_at, id);
CREATE INDEX ledger_blocks_last ON ledger_blocks (last_at);

-- Reservations without an end: of gateways that died, and of calls that outlast their segment of a log.
CREATE TABLE ledger_open (
    attempt_id TEXT NOT NULL PRIMARY KEY,
    log TEXT NOT NULL,
    request_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    provider TEXT NOT NULL,
    reserved_micros BIGINT NOT NULL CHECK (reserved_micros >= 0),
    tags TEXT NOT NULL
);
CREATE INDEX ledger_open_log ON ledger_open (log);
CREATE INDEX ledger_open_at ON ledger_open (at, attempt_id);
CREATE INDEX ledger_open_owner ON ledger_open (key_id, team_id, user_id, reserved_micros);

-- How far each gateway's log is applied: what makes applying it idempotent.
CREATE TABLE ledger_logs (
    log TEXT NOT NULL PRIMARY KEY,
    segment BIGINT NOT NULL,
    position BIGINT NOT NULL
);

-- The settled entries of each minute: for budgets shorter than an hour.
CREATE TABLE spend_minutely (
    minute BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    requests BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (key_id, minute, team_id, user_id)
);
CREATE INDEX spend_minutely_minute ON spend_minutely (minute);
CREATE INDEX spend_minutely_team ON spend_minutely (team_id, minute);
CREATE INDEX spend_minutely_user ON spend_minutely (user_id, minute);

INSERT INTO ledger_open
SELECT attempt_id, '', request_id, at, key_id, key_name, team_id, user_id, model, deployment, provider, reserved_micros, tags
FROM ledger WHERE state = 'reserved';
INSERT INTO spend_minutely
SELECT at - at % 60000, key_id, team_id, user_id, SUM(requests), SUM(input_tokens), SUM(output_tokens), SUM(cost_micros)
FROM ledger WHERE state = 'settled' GROUP BY 1, 2, 3, 4;
DROP TABLE ledger;
