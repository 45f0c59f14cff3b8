-- fragment: columns
account, id, spec, document, state, state_at, created_at, modified_at, started_at, previous_state, previous_at,
ended_at, terminate_reason, disable_tasks, pk, revision, schedule, scheduling_error

-- name: get
SELECT {columns} FROM job WHERE account = ? AND id_key = ?

-- name: by_pk
SELECT {columns} FROM job WHERE pk = ?

-- name: next_pk
UPDATE sequence SET last = last + 1 WHERE name = 'job' RETURNING last

-- name: insert
INSERT INTO job ({columns}, id_key, pool_key, priority, max_parallel, ends_when_done, deadline, ends_when_idle, depends)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update
UPDATE job SET ({columns}, pool_key, priority, max_parallel, ends_when_done, deadline, ends_when_idle, depends)
    = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
WHERE pk = ? AND revision = ?

-- name: delete_counts
DELETE FROM task_count WHERE job_pk = (SELECT pk FROM job WHERE account = ? AND id_key = ?)
    AND active = 0 AND running = 0 AND succeeded = 0 AND failed = 0

-- name: delete
DELETE FROM job WHERE account = ? AND id_key = ?

-- name: page
SELECT {columns} FROM job WHERE account = ? AND id_key > ? ORDER BY id_key LIMIT ?

-- name: count_active
SELECT count(*) FROM job WHERE account = ? AND state <> 'completed'

-- name: page_of_schedule
SELECT {columns} FROM job
WHERE account = ? AND lower(schedule) = ? AND id_key > ? AND schedule IS NOT NULL
ORDER BY id_key LIMIT ?

-- name: open_of_schedule
SELECT {columns} FROM job
WHERE account = ? AND lower(schedule) = ? AND schedule IS NOT NULL AND state <> 'completed'
ORDER BY id_key LIMIT ?

-- name: of_pool
SELECT {columns} FROM job
WHERE account = ? AND pool_key = ? AND state IN (SELECT value FROM json_each(?))
ORDER BY priority DESC, created_at, pk

-- name: unsettled
SELECT {columns} FROM job WHERE state IN ('disabling', 'enabling', 'terminating', 'deleting') ORDER BY pk

-- name: overdue
SELECT {columns} FROM job
WHERE deadline IS NOT NULL AND state IN ('active', 'disabling', 'disabled', 'enabling') AND deadline <= ?

-- name: done
SELECT {columns} FROM job
WHERE ends_when_done = 1 AND state = 'active'
    AND NOT EXISTS (SELECT 1 FROM task_count c WHERE c.job_pk = job.pk AND (
        c.running > 0 OR c.active > CASE WHEN job.ends_when_idle = 1 THEN c.waiting ELSE 0 END
    ))

-- name: cancelling
SELECT {columns} FROM job
WHERE depends = 2 AND state = 'active'
    AND EXISTS (SELECT 1 FROM task_count c WHERE c.job_pk = job.pk AND c.waiting > 0)
