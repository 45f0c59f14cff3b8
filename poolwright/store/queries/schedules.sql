-- fragment: columns
account, id, spec, document, state, state_at, created_at, modified_at, previous_state, previous_at, ended_at, jobs,
last_run_at, pool, due_at, revision

-- name: get
SELECT {columns} FROM job_schedule WHERE account = ? AND id_key = ?

-- name: insert
INSERT INTO job_schedule ({columns}, id_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update
UPDATE job_schedule SET ({columns}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
WHERE account = ? AND id_key = ? AND revision = ?

-- name: delete
DELETE FROM job_schedule WHERE account = ? AND id_key = ?

-- name: page
SELECT {columns} FROM job_schedule WHERE account = ? AND id_key > ? ORDER BY id_key LIMIT ?

-- name: count_active
SELECT count(*) FROM job_schedule WHERE account = ? AND state <> 'completed'

-- name: due
SELECT {columns} FROM job_schedule s
WHERE due_at IS NOT NULL AND due_at <= ? AND (
    state <> 'active'
    OR NOT EXISTS (
        SELECT 1 FROM job j
        WHERE j.account = s.account AND lower(j.schedule) = s.id_key AND j.schedule IS NOT NULL
            AND j.state <> 'completed'
    )
)
ORDER BY due_at

-- The schedule's jobs, in front, so that the cost is theirs.
-- name: ended
SELECT coalesce(sum(c.succeeded), 0), coalesce(sum(c.failed), 0)
FROM job j CROSS JOIN task_count c ON c.job_pk = j.pk
WHERE j.account = ? AND lower(j.schedule) = ? AND j.schedule IS NOT NULL
