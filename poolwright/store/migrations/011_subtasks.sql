-- Instances of multi-instance tasks: those of the newest attempt, kept with the task.

CREATE TABLE subtask (
    task_pk INTEGER NOT NULL REFERENCES task (pk) ON DELETE CASCADE,
    id INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    account TEXT NOT NULL,
    pool TEXT NOT NULL,
    node TEXT NOT NULL,
    machine TEXT NOT NULL,
    fence INTEGER NOT NULL,
    address TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ready_at INTEGER,
    ended_at INTEGER,
    exit_code INTEGER,
    failure TEXT,
    result TEXT,
    PRIMARY KEY (task_pk, id)
) STRICT;
