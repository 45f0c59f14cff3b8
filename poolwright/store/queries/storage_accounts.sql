-- fragment: columns
name, resource_id, room, key1, key2, key1_at, key2_at, created_at, endpoint

-- name: get
SELECT {columns} FROM storage_account WHERE name = ?

-- name: by_id
SELECT {columns} FROM storage_account WHERE resource_key = ?

-- name: all
SELECT {columns} FROM storage_account ORDER BY name

-- name: put
INSERT INTO storage_account ({columns}, resource_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET key1 = excluded.key1, key2 = excluded.key2, key1_at = excluded.key1_at,
    key2_at = excluded.key2_at, endpoint = excluded.endpoint

-- name: delete
DELETE FROM storage_account WHERE name = ?

-- name: link_of
SELECT account, storage_id, key, synced_at FROM storage_link WHERE account = ?

-- name: link
INSERT INTO storage_link (account, storage_id, key, synced_at) VALUES (?, ?, ?, ?)
ON CONFLICT (account) DO UPDATE SET storage_id = excluded.storage_id, key = excluded.key,
    synced_at = excluded.synced_at

-- name: unlink
DELETE FROM storage_link WHERE account = ?
