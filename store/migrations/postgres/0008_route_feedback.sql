-- How answers of routes were judged, so that a gateway knows after a restart how far its predictions are to be corrected.
-- The tenant is a hash of the route and of who pays; nothing of a prompt is here. Ids grow with time.
CREATE TABLE route_feedback (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    model TEXT NOT NULL,
    logit_millionths BIGINT NOT NULL,
    score_millionths BIGINT NOT NULL
);
CREATE INDEX route_feedback_tenant ON route_feedback (tenant, id);
CREATE INDEX route_feedback_at ON route_feedback (at);
