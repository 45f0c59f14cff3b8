-- fragment: columns
name, resource_id, primary_key, secondary_key, created_at

-- name: get
SELECT {columns} FROM account WHERE name_key = ?

-- name: insert
INSERT INTO account ({columns}, name_key) VALUES (?, ?, ?, ?, ?, ?)

-- name: update
UPDATE account SET name = ?, resource_id = ?, primary_key = ?, secondary_key = ?, created_at = ? WHERE name_key = ?

-- name: delete
DELETE FROM account WHERE name_key = ?

-- name: all
SELECT {columns} FROM account ORDER BY name_key

-- name: principal
SELECT client_id, object_id, name, secret_hash, roles FROM principal WHERE client_key = ?

-- name: principals
SELECT client_id, object_id, name, secret_hash, roles FROM principal ORDER BY client_key

-- name: put_principal
INSERT INTO principal (client_id, object_id, name, secret_hash, roles, client_key) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (client_key) DO UPDATE SET client_id = excluded.client_id, object_id = excluded.object_id,
    name = excluded.name, secret_hash = excluded.secret_hash, roles = excluded.roles

-- name: setting
SELECT value FROM setting WHERE name = ?

-- name: put_setting
INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
