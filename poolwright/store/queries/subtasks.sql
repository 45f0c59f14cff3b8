-- fragment: columns
task_pk, id, attempt, account, pool, node, machine, fence, address, started_at, ready_at, ended_at, exit_code, failure,
result

-- name: put
INSERT INTO subtask ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (task_pk, id) DO UPDATE SET ready_at = excluded.ready_at, ended_at = excluded.ended_at,
    exit_code = excluded.exit_code, failure = excluded.failure, result = excluded.result

-- name: forget
DELETE FROM subtask WHERE task_pk = ?

-- name: recent_of_machine
SELECT {columns} FROM subtask WHERE machine = ? AND id > 0 ORDER BY started_at DESC LIMIT ?

-- name: of_task
SELECT {columns} FROM subtask WHERE task_pk = ? ORDER BY id
