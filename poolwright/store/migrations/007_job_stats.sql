-- What the tasks of a job came to, for its statistics: one row a job, written once a transaction.

CREATE TABLE job_stats (
    job_pk INTEGER PRIMARY KEY REFERENCES job (pk) ON DELETE CASCADE,
    wall INTEGER NOT NULL, -- microseconds all completed runs took
    waited INTEGER NOT NULL, -- microseconds from creation to the last start, of completed tasks
    retries INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT;
