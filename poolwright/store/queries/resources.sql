-- fragment: columns
id, type, subscription, group_name, name, location, state, created_at, modified_at, tags, sku, properties, inner,
error, revision

-- name: get
SELECT {columns} FROM resource WHERE key = ?

-- name: insert
INSERT INTO resource ({columns}, key, type_key, subscription_key, group_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update
UPDATE resource SET ({columns}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE key = ? AND revision = ?

-- name: delete
DELETE FROM resource WHERE key = ?

-- name: select
SELECT {columns} FROM resource
WHERE subscription_key = ?1 AND (?2 IS NULL OR group_key = ?2) AND (?3 IS NULL OR type_key = ?3) ORDER BY key

-- name: of_type
SELECT {columns} FROM resource WHERE type_key = ? ORDER BY key

-- name: unsettled
SELECT {columns} FROM resource
WHERE key IN (
    SELECT key FROM resource WHERE state IN ('Creating', 'Updating', 'Deleting')
    UNION SELECT resource FROM operation WHERE status = 'InProgress'
) ORDER BY key

-- name: link
INSERT INTO lineage (child, parent, kind) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: unlink
DELETE FROM lineage WHERE child = ?

-- name: parents
SELECT child, parent, kind FROM lineage WHERE child = ? ORDER BY parent, kind

-- name: children
SELECT child, parent, kind FROM lineage WHERE parent = ? ORDER BY child, kind
