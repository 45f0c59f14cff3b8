-- fragment: columns
id, resource, verb, status, started_at, ended_at, request, result, error, attempts

-- name: put
INSERT INTO operation ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET resource = excluded.resource, verb = excluded.verb, status = excluded.status,
    started_at = excluded.started_at, ended_at = excluded.ended_at, request = excluded.request,
    result = excluded.result, error = excluded.error, attempts = excluded.attempts

-- name: get
SELECT {columns} FROM operation WHERE id = ?

-- name: in_progress
SELECT {columns} FROM operation WHERE status = 'InProgress' ORDER BY started_at, id

-- name: prune
DELETE FROM operation WHERE ended_at IS NOT NULL AND ended_at < ?
