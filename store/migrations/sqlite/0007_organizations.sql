-- Which organisation a team belongs to, or a key without a team: a name, which several of them share.
ALTER TABLE teams ADD COLUMN organization_id TEXT;
ALTER TABLE virtual_keys ADD COLUMN organization_id TEXT;
