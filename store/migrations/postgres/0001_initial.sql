-- Times are UTC unix milliseconds, money is micro-dollars; lists and maps are JSON text.

CREATE TABLE revisions (
    topic TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    budgets TEXT NOT NULL,
    metadata TEXT NOT NULL,
    blocked BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    team_id TEXT REFERENCES teams (id),
    budgets TEXT NOT NULL,
    metadata TEXT NOT NULL,
    blocked BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX users_team ON users (team_id);

CREATE TABLE virtual_keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    key_hash BYTEA NOT NULL UNIQUE,
    previous_key_hash BYTEA,
    previous_key_until BIGINT,
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
    rpm BIGINT CHECK (rpm >= 0),
    tpm BIGINT CHECK (tpm >= 0),
    max_parallel BIGINT CHECK (max_parallel >= 0),
    priority TEXT,
    budgets TEXT NOT NULL,
    blocked BOOLEAN NOT NULL,
    store_prompts BOOLEAN NOT NULL,
    expires_at BIGINT,
    rotated_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    CHECK ((previous_key_hash IS NULL) = (previous_key_until IS NULL))
);
CREATE INDEX virtual_keys_previous ON virtual_keys (previous_key_hash) WHERE previous_key_hash IS NOT NULL;
CREATE INDEX virtual_keys_team ON virtual_keys (team_id);
CREATE INDEX virtual_keys_user ON virtual_keys (user_id);

CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    ciphertext BYTEA NOT NULL,
    nonce BYTEA NOT NULL,
    encryption_key_id TEXT NOT NULL,
    disabled BOOLEAN NOT NULL,
    rotated_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE admins (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    disabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE sessions (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    admin_id TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    csrf_hash BYTEA NOT NULL,
    address TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_admin ON sessions (admin_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- What a key, team, user, model and provider are called is copied in: a ledger outlives what it names.
CREATE TABLE ledger (
    attempt_id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'aborted', 'settled')),
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    provider TEXT NOT NULL,
    outcome TEXT NOT NULL,
    requests BIGINT NOT NULL CHECK (requests IN (0, 1)),
    input_tokens BIGINT NOT NULL CHECK (input_tokens >= 0),
    output_tokens BIGINT NOT NULL CHECK (output_tokens >= 0),
    cached_tokens BIGINT NOT NULL CHECK (cached_tokens >= 0),
    cache_write_tokens BIGINT NOT NULL CHECK (cache_write_tokens >= 0),
    reasoning_tokens BIGINT NOT NULL CHECK (reasoning_tokens >= 0),
    cost_micros BIGINT NOT NULL CHECK (cost_micros >= 0),
    reserved_micros BIGINT NOT NULL CHECK (reserved_micros >= 0),
    saved_micros BIGINT NOT NULL CHECK (saved_micros >= 0),
    tags TEXT NOT NULL
);
CREATE INDEX ledger_at ON ledger (at, attempt_id);
CREATE INDEX ledger_key_at ON ledger (key_id, at, attempt_id);
CREATE INDEX ledger_request ON ledger (request_id);
CREATE INDEX ledger_unsettled ON ledger (key_id, team_id, user_id, at, reserved_micros) WHERE state = 'reserved';
CREATE INDEX ledger_unsettled_at ON ledger (at, attempt_id) WHERE state = 'reserved';

-- The settled entries of each hour, added up in the transaction that settles them.
CREATE TABLE spend_hourly (
    hour BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    saved_micros BIGINT NOT NULL,
    PRIMARY KEY (key_id, hour, team_id, user_id, model, provider)
);
CREATE INDEX spend_hourly_hour ON spend_hourly (hour);
CREATE INDEX spend_hourly_team ON spend_hourly (team_id, hour);
CREATE INDEX spend_hourly_user ON spend_hourly (user_id, hour);

-- The same once more for each tag of an entry: an entry with two tags counts in two rows.
CREATE TABLE spend_hourly_tags (
    hour BIGINT NOT NULL,
    tag TEXT NOT NULL,
    key_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    saved_micros BIGINT NOT NULL,
    PRIMARY KEY (tag, hour, key_id, team_id, user_id, model, provider)
);
CREATE INDEX spend_hourly_tags_hour ON spend_hourly_tags (hour);

CREATE TABLE audit_log (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    before TEXT,
    after TEXT
);
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_object ON audit_log (object_kind, object_id, at);

CREATE TABLE request_log (
    request_id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    model TEXT NOT NULL,
    deployment TEXT NOT NULL,
    provider TEXT NOT NULL,
    status BIGINT NOT NULL,
    error TEXT NOT NULL,
    cache TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    first_token_ms BIGINT,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    tags TEXT NOT NULL,
    encryption_key_id TEXT,
    prompt BYTEA,
    answer BYTEA
);
CREATE INDEX request_log_at ON request_log (at, request_id);
CREATE INDEX request_log_key ON request_log (key_id, at, request_id);
CREATE INDEX request_log_user ON request_log (user_id, at);
