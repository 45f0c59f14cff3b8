-- fragment: columns
t.pk, t.job_pk, t.id, b.spec, b.document, t.state, t.state_at, t.created_at, t.modified_at, t.previous_state,
t.previous_at, t.attempt, t.node, t.pool, t.fence, t.started_at, t.ended_at, t.exit_code, t.result, t.failure,
t.retry_count, t.last_retry_at, t.requeue_count, t.last_requeue_at, t.system_requeues, t.kill_reason, t.used,
t.unmet

-- name: reserve
UPDATE sequence SET last = last + ? WHERE name = 'task' RETURNING last

-- name: known
SELECT id_key FROM task WHERE job_pk = ? AND id_key IN (SELECT value FROM json_each(?))

-- name: insert
INSERT INTO task (pk, job_pk, id, id_key, slots, state, state_at, created_at, modified_at, unmet, number)
VALUES (?, ?, ?, ?, ?, 'active', ?, ?, ?, ?, ?)

-- name: insert_body
INSERT INTO task_body (pk, spec, document) VALUES (?, ?, ?)

-- name: count_new
INSERT INTO task_count (job_pk, slots, active, waiting) VALUES (?, ?, ?, ?)
ON CONFLICT (job_pk, slots) DO UPDATE SET active = active + excluded.active, waiting = waiting + excluded.waiting

-- name: count_moved
UPDATE task_count SET active = active + ?, running = running + ?, succeeded = succeeded + ?, failed = failed + ?,
    waiting = waiting + ?
WHERE job_pk = ? AND slots = ?

-- name: get
SELECT {columns} FROM task t JOIN task_body b ON b.pk = t.pk WHERE t.job_pk = ? AND t.id_key = ?

-- name: by_pks
SELECT {columns} FROM task t JOIN task_body b ON b.pk = t.pk WHERE t.pk IN (SELECT value FROM json_each(?))

-- name: page
SELECT {columns} FROM task t JOIN task_body b ON b.pk = t.pk
WHERE t.job_pk = ? AND t.id_key > ? ORDER BY t.id_key LIMIT ?

-- name: counts
SELECT slots, active, running, succeeded, failed, waiting FROM task_count WHERE job_pk = ?

-- name: ready_jobs
SELECT j.priority, j.pk, c.slots, j.max_parallel
FROM job j CROSS JOIN task_count c ON c.job_pk = j.pk
WHERE j.account = ? AND j.pool_key = ? AND j.state = 'active' AND c.active > c.waiting AND c.slots BETWEEN ? AND ?
ORDER BY j.priority DESC

-- name: from_pk
SELECT pk, created_at FROM task WHERE pk >= ? ORDER BY pk LIMIT 1

-- name: last_pk
SELECT last FROM sequence WHERE name = 'task'

-- name: running_count
SELECT coalesce(sum(running), 0) FROM task_count WHERE job_pk = ?

-- name: ready_of_job
SELECT pk FROM task WHERE job_pk = ? AND slots = ? AND state = 'active' AND unmet = 0 AND pk > ?
    AND NOT EXISTS (SELECT 1 FROM execution WHERE execution.task_pk = task.pk)
ORDER BY pk LIMIT ?

-- name: running_of_pool
SELECT {columns}
FROM task t JOIN job j ON j.pk = t.job_pk JOIN task_body b ON b.pk = t.pk
WHERE t.pool_key = ? AND t.state IN ('preparing', 'running') AND j.account = ?

-- name: running_of_node
SELECT {columns}
FROM task t JOIN job j ON j.pk = t.job_pk JOIN task_body b ON b.pk = t.pk
WHERE t.pool_key = ? AND t.node_key = ? AND t.state IN ('preparing', 'running') AND j.account = ?

-- name: running_of_job
SELECT {columns} FROM task t JOIN task_body b ON b.pk = t.pk
WHERE t.job_pk = ? AND t.state IN ('preparing', 'running') ORDER BY t.pk LIMIT ?

-- name: buckets
SELECT t.pk, t.job_pk, t.slots, t.state, t.result, t.unmet, j.depends FROM task t JOIN job j ON j.pk = t.job_pk
WHERE t.pk IN (SELECT value FROM json_each(?))

-- name: update
UPDATE task SET state = ?, state_at = ?, modified_at = ?, previous_state = ?, previous_at = ?, attempt = ?, node = ?,
    pool = ?, fence = ?, started_at = ?, ended_at = ?, exit_code = ?, result = ?, failure = ?, retry_count = ?,
    last_retry_at = ?, requeue_count = ?, last_requeue_at = ?, system_requeues = ?, kill_reason = ?, used = ?,
    node_key = ?, pool_key = ?
WHERE pk = ?

-- name: replace_spec
UPDATE task_body SET spec = ?, document = ? WHERE pk = ?

-- name: set_modified
UPDATE task SET modified_at = ? WHERE pk = ? AND slots = ?

-- name: delete
DELETE FROM task WHERE pk = ? RETURNING job_pk, slots, state, result, unmet

-- name: delete_some
DELETE FROM task WHERE pk IN (
    SELECT pk FROM task WHERE job_pk = ? AND state NOT IN ('preparing', 'running') LIMIT ?
) RETURNING job_pk, slots, state, result, unmet

-- name: recent_of_node
SELECT {columns}
FROM task t JOIN job j ON j.pk = t.job_pk JOIN task_body b ON b.pk = t.pk
WHERE t.node_key = ? AND t.started_at IS NOT NULL AND t.pool_key = ? AND j.account = ?
ORDER BY t.started_at DESC LIMIT ?

-- name: state_counts_of_pool
SELECT coalesce(sum(c.active), 0), coalesce(sum(c.running), 0), coalesce(sum(c.succeeded + c.failed), 0)
FROM job j CROSS JOIN task_count c ON c.job_pk = j.pk WHERE j.account = ? AND j.pool_key = ?

-- name: waits_of_pool
SELECT coalesce(sum(c.waiting), 0),
    coalesce(sum(CASE WHEN j.state = 'active' THEN 0 ELSE c.active - c.waiting END), 0),
    coalesce(sum(CASE WHEN j.state = 'active' THEN c.active - c.waiting ELSE 0 END), 0)
FROM job j CROSS JOIN task_count c ON c.job_pk = j.pk WHERE j.account = ? AND j.pool_key = ?
