-- fragment: columns
account, pool, id, machine, dedicated, state, state_at, allocated_at, fence, scheduling, booted_at, address,
start_task, errors, drain, seen_at, attempts, retry_at, tasks_run, tasks_succeeded, history, notes, phases_ms, logins,
front_ports, image, packages, agent_version, agent_since, certificates, revision

-- name: get
SELECT {columns} FROM node WHERE account = ? AND pool_key = ? AND id_key = ?

-- name: by_machine
SELECT {columns} FROM node WHERE machine = ?

-- name: insert
INSERT INTO node ({columns}, pool_key, id_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- Totals of tasks and the last word of the agent change without a new revision, so a writer that read the node earlier
-- must not set them back.
-- name: update
UPDATE node SET machine = ?, dedicated = ?, state = ?, state_at = ?, allocated_at = ?, fence = ?, scheduling = ?,
    booted_at = ?, address = ?, start_task = ?, errors = ?, drain = ?, seen_at = max(seen_at, ?), attempts = ?,
    retry_at = ?, history = ?, notes = ?, phases_ms = ?, logins = ?, image = ?, packages = ?, agent_version = ?,
    agent_since = ?, certificates = ?, revision = ?
WHERE account = ? AND pool_key = ? AND id_key = ? AND revision = ?

-- name: delete
DELETE FROM node WHERE account = ? AND pool_key = ? AND id_key = ?

-- name: of_pool
SELECT {columns} FROM node WHERE account = ? AND pool_key = ? ORDER BY id_key

-- name: page
SELECT {columns} FROM node WHERE account = ? AND pool_key = ? AND id_key > ? ORDER BY id_key LIMIT ?

-- name: counts
SELECT state, dedicated, count(*) FROM node WHERE account = ? AND pool_key = ? GROUP BY state, dedicated

-- name: machines
SELECT machine, account, pool, id FROM node

-- name: touch
UPDATE node SET seen_at = max(seen_at, ?) WHERE machine IN (SELECT value FROM json_each(?))

-- name: add_task_totals
UPDATE node SET tasks_run = tasks_run + ?, tasks_succeeded = tasks_succeeded + ?
WHERE account = ? AND pool_key = ? AND id_key = ?
