-- The first shape of the store. Conventions:
--   *_key     the lower-cased form of an identity; what is compared, ordered and indexed
--   *_at      microseconds since 1970-01-01 UTC
--   JSON      nested values (specs, histories) are JSON text; documents are the caller's own bytes
-- What changes often is a column of its own, so that a change of state rewrites a small row.

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE principal (
    client_key TEXT PRIMARY KEY,
    client_id TEXT NOT NULL,
    object_id TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    roles TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    name_key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    primary_key TEXT NOT NULL,
    secondary_key TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Numbers that are never given twice, also when the newest row is deleted.
CREATE TABLE sequence (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO sequence (name, last) VALUES ('job', 0), ('task', 0);

CREATE TABLE pool (
    account TEXT NOT NULL,
    id_key TEXT NOT NULL,
    id TEXT NOT NULL,
    image_key TEXT,
    spec TEXT NOT NULL,
    document BLOB NOT NULL,
    state TEXT NOT NULL,
    state_at INTEGER NOT NULL,
    allocation TEXT NOT NULL,
    allocation_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    target_dedicated INTEGER NOT NULL CHECK (target_dedicated >= 0),
    target_low_priority INTEGER NOT NULL CHECK (target_low_priority >= 0),
    resize TEXT NOT NULL,
    resize_errors TEXT NOT NULL,
    uid TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (account, id_key)
) STRICT;

CREATE INDEX pool_image ON pool (image_key) WHERE image_key IS NOT NULL;

CREATE TABLE node (
    account TEXT NOT NULL,
    pool_key TEXT NOT NULL,
    id_key TEXT NOT NULL,
    pool TEXT NOT NULL,
    id TEXT NOT NULL,
    machine TEXT NOT NULL UNIQUE,
    dedicated INTEGER NOT NULL CHECK (dedicated IN (0, 1)),
    state TEXT NOT NULL,
    state_at INTEGER NOT NULL,
    allocated_at INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    scheduling TEXT NOT NULL,
    booted_at INTEGER,
    address TEXT,
    start_task TEXT,
    errors TEXT NOT NULL,
    drain TEXT,
    seen_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    retry_at INTEGER NOT NULL,
    tasks_run INTEGER NOT NULL CHECK (tasks_run >= 0),
    tasks_succeeded INTEGER NOT NULL CHECK (tasks_succeeded >= 0),
    history TEXT NOT NULL,
    notes TEXT NOT NULL,
    phases_ms TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (account, pool_key, id_key),
    FOREIGN KEY (account, pool_key) REFERENCES pool (account, id_key)
) STRICT;

CREATE TABLE job (
    pk INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    id_key TEXT NOT NULL,
    id TEXT NOT NULL,
    pool_key TEXT NOT NULL,
    priority INTEGER NOT NULL,
    max_parallel INTEGER NOT NULL,
    ends_when_done INTEGER NOT NULL CHECK (ends_when_done IN (0, 1)),
    deadline INTEGER, -- started_at + the wall clock limit, if there is one
    spec TEXT NOT NULL,
    document BLOB NOT NULL,
    state TEXT NOT NULL,
    state_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    previous_state TEXT,
    previous_at INTEGER,
    ended_at INTEGER,
    terminate_reason TEXT,
    disable_tasks TEXT,
    revision INTEGER NOT NULL,
    UNIQUE (account, id_key)
) STRICT;

CREATE INDEX job_of_pool ON job (account, pool_key, state, priority DESC, created_at, pk);
CREATE INDEX job_counted ON job (account) WHERE state <> 'completed';
CREATE INDEX job_unsettled ON job (pk) WHERE state IN ('disabling', 'enabling', 'terminating', 'deleting');
CREATE INDEX job_deadline ON job (deadline)
    WHERE deadline IS NOT NULL AND state IN ('active', 'disabling', 'disabled', 'enabling');
CREATE INDEX job_ending ON job (pk) WHERE ends_when_done = 1 AND state = 'active';

-- Tasks of a job by state, one row for each number of slots its tasks ask for (at most 256): counts are sums of a
-- few rows, and the search for ready tasks never walks over tasks that are too big.
CREATE TABLE task_count (
    job_pk INTEGER NOT NULL REFERENCES job (pk),
    slots INTEGER NOT NULL,
    active INTEGER NOT NULL DEFAULT 0 CHECK (active >= 0),
    running INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
    succeeded INTEGER NOT NULL DEFAULT 0 CHECK (succeeded >= 0),
    failed INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    PRIMARY KEY (job_pk, slots)
) STRICT, WITHOUT ROWID;

-- What of a task changes with its life.
CREATE TABLE task (
    pk INTEGER PRIMARY KEY,
    job_pk INTEGER NOT NULL REFERENCES job (pk),
    id TEXT NOT NULL,
    id_key TEXT NOT NULL,
    slots INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    previous_state TEXT,
    previous_at INTEGER,
    attempt INTEGER NOT NULL DEFAULT 0,
    node TEXT,
    node_key TEXT,
    pool TEXT,
    pool_key TEXT,
    fence INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    ended_at INTEGER,
    exit_code INTEGER,
    result TEXT,
    failure TEXT,
    retry_count INTEGER NOT NULL DEFAULT 0,
    last_retry_at INTEGER,
    requeue_count INTEGER NOT NULL DEFAULT 0,
    last_requeue_at INTEGER,
    system_requeues INTEGER NOT NULL DEFAULT 0,
    kill_reason TEXT
) STRICT;

CREATE UNIQUE INDEX task_id ON task (job_pk, id_key);
CREATE INDEX task_ready ON task (job_pk, slots, pk) WHERE state = 'active';
CREATE INDEX task_running_of_job ON task (job_pk, pk) WHERE state IN ('preparing', 'running');
CREATE INDEX task_running_of_node ON task (pool_key, node_key) WHERE state IN ('preparing', 'running');
CREATE INDEX task_recent ON task (node_key, started_at) WHERE started_at IS NOT NULL;

-- What of a task stays as it was asked for.
CREATE TABLE task_body (
    pk INTEGER PRIMARY KEY REFERENCES task (pk) ON DELETE CASCADE,
    spec TEXT NOT NULL,
    document BLOB NOT NULL
) STRICT;

CREATE TABLE execution (
    name TEXT PRIMARY KEY,
    task_pk INTEGER NOT NULL,
    job_pk INTEGER NOT NULL,
    account TEXT NOT NULL,
    pool_key TEXT NOT NULL,
    pool TEXT NOT NULL,
    node TEXT NOT NULL,
    machine TEXT NOT NULL,
    fence INTEGER NOT NULL,
    slots INTEGER NOT NULL CHECK (slots >= 0),
    since INTEGER NOT NULL,
    kill_reason TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX execution_of_pool ON execution (account, pool_key, node, slots);
CREATE INDEX execution_of_machine ON execution (machine);
CREATE INDEX execution_of_task ON execution (task_pk);
CREATE INDEX execution_of_job ON execution (job_pk);

CREATE TABLE resource (
    key TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    type_key TEXT NOT NULL,
    subscription TEXT NOT NULL,
    subscription_key TEXT NOT NULL,
    group_name TEXT NOT NULL,
    group_key TEXT NOT NULL,
    name TEXT NOT NULL,
    location TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    tags TEXT NOT NULL,
    sku TEXT,
    properties BLOB NOT NULL,
    inner BLOB NOT NULL,
    error TEXT,
    revision INTEGER NOT NULL
) STRICT;

CREATE INDEX resource_of_group ON resource (subscription_key, group_key, type_key);
CREATE INDEX resource_of_type ON resource (type_key, key);
CREATE INDEX resource_unsettled ON resource (key) WHERE state IN ('Creating', 'Updating', 'Deleting');

CREATE TABLE lineage (
    child TEXT NOT NULL,
    parent TEXT NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (child, parent, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX lineage_parent ON lineage (parent, child);

CREATE TABLE disk (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    purpose TEXT NOT NULL,
    state TEXT NOT NULL,
    digest TEXT,
    size_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX disk_owner ON disk (owner);

CREATE TABLE operation (
    id TEXT PRIMARY KEY,
    resource TEXT NOT NULL,
    verb TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    request BLOB NOT NULL,
    result BLOB,
    error TEXT,
    attempts INTEGER NOT NULL
) STRICT;

CREATE INDEX operation_in_progress ON operation (resource) WHERE status = 'InProgress';
CREATE INDEX operation_ended ON operation (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE fact (
    pk INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_key TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX fact_of_subject ON fact (account, subject_key, pk);
