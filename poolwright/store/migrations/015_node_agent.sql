-- The version of the agent that runs in a node, which may be older than the service's.

ALTER TABLE node ADD COLUMN agent_version TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN agent_since INTEGER NOT NULL DEFAULT 0;
