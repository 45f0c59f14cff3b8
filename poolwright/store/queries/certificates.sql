-- fragment: columns
account, thumbprint, format, public, state, state_at, data, password, previous_state, previous_at, failure

-- name: get
SELECT {columns} FROM certificate WHERE account = ? AND thumbprint = ?

-- name: count
SELECT count(*) FROM certificate WHERE account = ?

-- name: put
INSERT INTO certificate ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, thumbprint) DO UPDATE SET state = excluded.state, state_at = excluded.state_at,
    previous_state = excluded.previous_state, previous_at = excluded.previous_at, failure = excluded.failure

-- name: delete
DELETE FROM certificate WHERE account = ? AND thumbprint = ?

-- name: delete_account
DELETE FROM certificate WHERE account = ?

-- name: page
SELECT {columns} FROM certificate WHERE account = ? AND thumbprint > ? ORDER BY thumbprint LIMIT ?

-- name: deleting
SELECT account, thumbprint FROM certificate WHERE state = 'deleting'

-- name: nodes
SELECT pool, id FROM node WHERE account = ? AND certificates != '[]' AND instr(certificates, ?) > 0 LIMIT ?
