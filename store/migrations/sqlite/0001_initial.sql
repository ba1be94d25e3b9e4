-- Times are UTC unix milliseconds, money is micro-dollars, booleans are 0 and 1; lists and maps are JSON text.

CREATE TABLE revisions (
    topic TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    budgets TEXT NOT NULL,
    metadata TEXT NOT NULL,
    blocked INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    team_id TEXT REFERENCES teams (id),
    budgets TEXT NOT NULL,
    metadata TEXT NOT NULL,
    blocked INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX users_team ON users (team_id);

CREATE TABLE virtual_keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    key_hash BLOB NOT NULL UNIQUE,
    previous_key_hash BLOB,
    previous_key_until INTEGER,
    display_prefix TEXT NOT NULL,
    display_suffix TEXT NOT NULL,
    team_id TEXT REFERENCES teams (id),
    user_id TEXT REFERENCES users (id),
    models TEXT NOT NULL,
    routes TEXT NOT NULL,
    default_model TEXT,
    credentials TEXT NOT NULL,
    metadata TEXT NOT NULL,
    tags TEXT NOT NULL,
    rpm INTEGER CHECK (rpm >= 0),
    tpm INTEGER CHECK (tpm >= 0),
    max_parallel INTEGER CHECK (max_parallel >= 0),
    priority TEXT,
    budgets TEXT NOT NULL,
    blocked INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    store_prompts INTEGER NOT NULL CHECK (store_prompts IN (0, 1)),
    expires_at INTEGER,
    rotated_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    CHECK ((previous_key_hash IS NULL) = (previous_key_until IS NULL))
) STRICT;
CREATE INDEX virtual_keys_previous ON virtual_keys (previous_key_hash) WHERE previous_key_hash IS NOT NULL;
CREATE INDEX virtual_keys_team ON virtual_keys (team_id);
CREATE INDEX virtual_keys_user ON virtual_keys (user_id);

CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    ciphertext BLOB NOT NULL,
    nonce BLOB NOT NULL,
    encryption_key_id TEXT NOT NULL,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    rotated_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE admins (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash BLOB NOT NULL PRIMARY KEY,
    admin_id TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    csrf_hash BLOB NOT NULL,
    address TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_admin ON sessions (admin_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- What a key, team, user, model and provider are called is copied in: a ledger outlives what it names.
CREATE TABLE ledger (
    attempt_id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'aborted', 'settled')),
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    provider TEXT NOT NULL,
    outcome TEXT NOT NULL,
    requests INTEGER NOT NULL CHECK (requests IN (0, 1)),
    input_tokens INTEGER NOT NULL CHECK (input_tokens >= 0),
    output_tokens INTEGER NOT NULL CHECK (output_tokens >= 0),
    cached_tokens INTEGER NOT NULL CHECK (cached_tokens >= 0),
    cache_write_tokens INTEGER NOT NULL CHECK (cache_write_tokens >= 0),
    reasoning_tokens INTEGER NOT NULL CHECK (reasoning_tokens >= 0),
    cost_micros INTEGER NOT NULL CHECK (cost_micros >= 0),
    reserved_micros INTEGER NOT NULL CHECK (reserved_micros >= 0),
    saved_micros INTEGER NOT NULL CHECK (saved_micros >= 0),
    tags TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_at ON ledger (at, attempt_id);
CREATE INDEX ledger_key_at ON ledger (key_id, at, attempt_id);
CREATE INDEX ledger_request ON ledger (request_id);
CREATE INDEX ledger_unsettled ON ledger (key_id, team_id, user_id, at, reserved_micros) WHERE state = 'reserved';
CREATE INDEX ledger_unsettled_at ON ledger (at, attempt_id) WHERE state = 'reserved';

-- The settled entries of each hour, added up in the transaction that settles them.
CREATE TABLE spend_hourly (
    hour INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_micros INTEGER NOT NULL,
    saved_micros INTEGER NOT NULL,
    PRIMARY KEY (key_id, hour, team_id, user_id, model, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX spend_hourly_hour ON spend_hourly (hour);
CREATE INDEX spend_hourly_team ON spend_hourly (team_id, hour);
CREATE INDEX spend_hourly_user ON spend_hourly (user_id, hour);

-- The same once more for each tag of an entry: an entry with two tags counts in two rows.
CREATE TABLE spend_hourly_tags (
    hour INTEGER NOT NULL,
    tag TEXT NOT NULL,
    key_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_micros INTEGER NOT NULL,
    saved_micros INTEGER NOT NULL,
    PRIMARY KEY (tag, hour, key_id, team_id, user_id, model, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX spend_hourly_tags_hour ON spend_hourly_tags (hour);

CREATE TABLE audit_log (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    before TEXT,
    after TEXT
) STRICT;
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_object ON audit_log (object_kind, object_id, at);

CREATE TABLE request_log (
    request_id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    provider TEXT NOT NULL,
    status INTEGER NOT NULL,
    error TEXT NOT NULL,
    cache TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    first_token_ms INTEGER,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_micros INTEGER NOT NULL,
    tags TEXT NOT NULL,
    encryption_key_id TEXT,
    prompt BLOB,
    answer BLOB
) STRICT;
CREATE INDEX request_log_at ON request_log (at, request_id);
CREATE INDEX request_log_key ON request_log (key_id, at, request_id);
CREATE INDEX request_log_user ON request_log (user_id, at);
