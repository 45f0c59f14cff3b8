-- Task dependencies. A task's `unmet` counts what it still waits for; only tasks that wait for nothing are in the index
-- of ready tasks. What a task waits for lies under the id of its parent, so that an end costs what it sets free.

ALTER TABLE job ADD COLUMN depends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN ends_when_idle INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN unmet INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN number INTEGER; -- the id as a number, in jobs that use dependencies
ALTER TABLE task_count ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0); -- of the active ones

DROP INDEX task_ready;
CREATE INDEX task_ready ON task (job_pk, slots, pk) WHERE state = 'active' AND unmet = 0;
CREATE INDEX task_number ON task (job_pk, number) WHERE number IS NOT NULL;
CREATE INDEX task_failed ON task (job_pk, pk) WHERE state = 'completed' AND result = 'failure';

-- One row a parent named by its id, until that parent is done.
CREATE TABLE dependency (
    job_pk INTEGER NOT NULL,
    parent_key TEXT NOT NULL,
    task_pk INTEGER NOT NULL REFERENCES task (pk) ON DELETE CASCADE,
    PRIMARY KEY (job_pk, parent_key, task_pk)
) STRICT, WITHOUT ROWID;

CREATE INDEX dependency_of_task ON dependency (task_pk);

-- A range of numbers as at most 62 blocks of 2^level numbers each: whoever depends on a number is found by 32 keys.
CREATE TABLE dependency_block (
    job_pk INTEGER NOT NULL,
    level INTEGER NOT NULL,
    block INTEGER NOT NULL,
    task_pk INTEGER NOT NULL REFERENCES task (pk) ON DELETE CASCADE,
    PRIMARY KEY (job_pk, level, block, task_pk)
) STRICT, WITHOUT ROWID;

CREATE INDEX dependency_block_of_task ON dependency_block (task_pk);

-- Ids and numbers that are done for good: they stay so when the task is deleted or an id is given again.
CREATE TABLE dependency_met (
    job_pk INTEGER NOT NULL,
    parent_key TEXT NOT NULL,
    PRIMARY KEY (job_pk, parent_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE dependency_met_number (
    job_pk INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (job_pk, number)
) STRICT, WITHOUT ROWID;

-- `depends` is 2 where tasks behind a failed one are ended.
CREATE INDEX job_cancelling ON job (pk) WHERE depends = 2 AND state = 'active';
