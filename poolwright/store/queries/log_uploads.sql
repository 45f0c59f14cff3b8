-- name: all
SELECT id, node, machine, fence, job, promised_at FROM log_upload ORDER BY id

-- name: insert
INSERT INTO log_upload (id, node, machine, fence, job, promised_at) VALUES (?, ?, ?, ?, ?, ?)

-- name: delete
DELETE FROM log_upload WHERE id = ?
