-- fragment: columns
name, task_pk, job_pk, account, pool, node, machine, fence, slots, since, kill_reason

-- name: insert
INSERT INTO execution ({columns}, pool_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: get_many
SELECT {columns} FROM execution WHERE name IN (SELECT value FROM json_each(?))

-- name: delete_many
DELETE FROM execution WHERE name IN (SELECT value FROM json_each(?))

-- name: order_kill
UPDATE execution SET kill_reason = ? WHERE name IN (SELECT value FROM json_each(?))

-- name: of_pool
SELECT {columns} FROM execution WHERE account = ? AND pool_key = ? ORDER BY task_pk, name

-- name: of_machine
SELECT {columns} FROM execution WHERE machine = ? ORDER BY task_pk, name

-- name: of_task
SELECT {columns} FROM execution WHERE task_pk = ? ORDER BY name

-- name: slots
SELECT node, sum(slots) FROM execution WHERE account = ? AND pool_key = ? GROUP BY node

-- name: taken
SELECT node, CASE WHEN max(slots > 0 AND kill_reason IS ?) THEN max(sum(slots), ?) ELSE sum(slots) END
FROM execution WHERE account = ? AND pool_key = ? GROUP BY node

-- name: count_of_job
SELECT count(*) FROM execution WHERE job_pk = ? AND task_pk > 0

-- name: beside_tasks
SELECT {columns} FROM execution WHERE job_pk = ? AND task_pk = 0
