-- fragment: columns
name, owner, purpose, state, digest, size_bytes

-- name: put
INSERT INTO disk ({columns}) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, purpose = excluded.purpose, state = excluded.state,
    digest = excluded.digest, size_bytes = excluded.size_bytes

-- name: get
SELECT {columns} FROM disk WHERE name = ?

-- name: of_owner
SELECT {columns} FROM disk WHERE owner = ? ORDER BY name

-- name: all
SELECT {columns} FROM disk ORDER BY name

-- name: drop
DELETE FROM disk WHERE name = ?
