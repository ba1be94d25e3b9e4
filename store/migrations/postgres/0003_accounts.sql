-- Accounts that are confined to a team, their tokens, sessions that end when nobody uses them, and which team a change
-- concerns.
ALTER TABLE admins ADD COLUMN team_id TEXT REFERENCES teams (id);
-- Sessions that began before it are over.
ALTER TABLE admins ADD COLUMN sessions_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;

CREATE TABLE admin_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    admin_id TEXT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    token_hash BYTEA NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX admin_tokens_admin ON admin_tokens (admin_id);

ALTER TABLE audit_log ADD COLUMN team_id TEXT NOT NULL DEFAULT '';
UPDATE audit_log SET team_id = COALESCE(CASE object_kind WHEN 'teams' THEN object_id
    ELSE COALESCE(after, before)::json ->> 'team_id' END, '')
WHERE object_kind IN ('teams', 'users', 'virtual_keys');
CREATE INDEX audit_log_team ON audit_log (team_id, id);
