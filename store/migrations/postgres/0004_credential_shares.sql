-- Several credentials of one provider: how requests are spread over them.
ALTER TABLE credentials ADD COLUMN weight BIGINT NOT NULL DEFAULT 1 CHECK (weight >= 0);
ALTER TABLE credentials ADD COLUMN priority BIGINT NOT NULL DEFAULT 0 CHECK (priority >= 0);
-- Names of credentials in place of an id for each provider; nothing has ever written one.
UPDATE virtual_keys SET credentials = '[]';
