-- fragment: columns
account, id, spec, document, state, state_at, allocation, allocation_at, created_at, modified_at,
target_dedicated, target_low_priority, resize, resize_errors, uid, revision, autoscale

-- name: get
SELECT {columns} FROM pool WHERE account = ? AND id_key = ?

-- name: insert
INSERT INTO pool ({columns}, id_key, image_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update
UPDATE pool SET ({columns}, image_key) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
WHERE account = ? AND id_key = ? AND revision = ?

-- name: delete
DELETE FROM pool WHERE account = ? AND id_key = ?

-- name: page
SELECT {columns} FROM pool WHERE account = ? AND id_key > ? ORDER BY id_key LIMIT ?

-- name: count
SELECT count(*) FROM pool WHERE account = ?

-- name: every
SELECT {columns} FROM pool ORDER BY account, id_key

-- name: with_image
SELECT {columns} FROM pool WHERE image_key = ? ORDER BY account, id_key
