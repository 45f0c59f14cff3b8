-- Job preparation and release: how both fared on each node that got a task of the job. Rows stay when the node goes.

CREATE TABLE job_node (
    pk INTEGER PRIMARY KEY,
    job_pk INTEGER NOT NULL REFERENCES job (pk) ON DELETE CASCADE,
    account TEXT NOT NULL,
    pool TEXT NOT NULL,
    node TEXT NOT NULL,
    machine TEXT NOT NULL,
    fence INTEGER NOT NULL,
    preparation TEXT NOT NULL,
    release TEXT,
    release_fence INTEGER NOT NULL,
    wiped INTEGER NOT NULL CHECK (wiped IN (0, 1)),
    pool_key TEXT NOT NULL,
    node_key TEXT NOT NULL,
    UNIQUE (job_pk, pool_key, node_key)
) STRICT;

CREATE INDEX job_node_of_job ON job_node (job_pk, pk);
CREATE INDEX job_node_of_node ON job_node (pool_key, node_key);

INSERT INTO sequence (name, last) VALUES ('job_node', 0);
