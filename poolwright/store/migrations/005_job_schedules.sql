-- Job schedules, the jobs they make, and the pools made for jobs and schedules.

ALTER TABLE job ADD COLUMN schedule TEXT; -- the id of the schedule that made the job
ALTER TABLE job ADD COLUMN scheduling_error TEXT;

CREATE INDEX job_of_schedule ON job (account, lower(schedule), id_key) WHERE schedule IS NOT NULL;

CREATE TABLE job_schedule (
    account TEXT NOT NULL,
    id_key TEXT NOT NULL,
    id TEXT NOT NULL,
    spec TEXT NOT NULL,
    document BLOB NOT NULL,
    state TEXT NOT NULL,
    state_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    previous_state TEXT,
    previous_at INTEGER,
    ended_at INTEGER,
    jobs INTEGER NOT NULL CHECK (jobs >= 0),
    last_run_at INTEGER,
    pool TEXT,
    due_at INTEGER,
    revision INTEGER NOT NULL,
    PRIMARY KEY (account, id_key)
) STRICT;

CREATE INDEX job_schedule_counted ON job_schedule (account) WHERE state <> 'completed';
CREATE INDEX job_schedule_due ON job_schedule (due_at) WHERE due_at IS NOT NULL;

-- A pool that was made for a job or a schedule. It goes when its owner needs it no more.
CREATE TABLE auto_pool (
    account TEXT NOT NULL,
    pool_key TEXT NOT NULL,
    pool TEXT NOT NULL,
    owner TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    owner_key TEXT NOT NULL,
    keep_alive INTEGER NOT NULL CHECK (keep_alive IN (0, 1)),
    made_at INTEGER NOT NULL,
    PRIMARY KEY (account, pool_key)
) STRICT, WITHOUT ROWID;
