-- fragment: columns
account, id, created_at, modified_at, display_name, allow_updates, default_version

-- fragment: package
account, application, version, blob, secret, url_until, created_at, modified_at, digest, size_bytes, activated_at,
storage

-- name: get
SELECT {columns} FROM application WHERE account = ? AND id_key = ?

-- name: put
INSERT INTO application ({columns}, id_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, id_key) DO UPDATE SET modified_at = excluded.modified_at, display_name = excluded.display_name,
    allow_updates = excluded.allow_updates, default_version = excluded.default_version

-- name: delete
DELETE FROM application WHERE account = ? AND id_key = ?

-- name: delete_account
DELETE FROM application WHERE account = ?

-- name: page
SELECT {columns} FROM application WHERE account = ? AND id_key > ? ORDER BY id_key LIMIT ?

-- name: package
SELECT {package} FROM package WHERE account = ? AND application_key = ? AND version_key = ?

-- name: packages
SELECT {package} FROM package WHERE account = ? AND application_key = ? ORDER BY version_key

-- name: by_blob
SELECT {package} FROM package WHERE blob = ?

-- name: put_package
INSERT INTO package ({package}, application_key, version_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, application_key, version_key) DO UPDATE SET blob = excluded.blob, secret = excluded.secret,
    url_until = excluded.url_until, modified_at = excluded.modified_at, digest = excluded.digest,
    size_bytes = excluded.size_bytes, activated_at = excluded.activated_at, storage = excluded.storage

-- name: delete_package
DELETE FROM package WHERE account = ? AND application_key = ? AND version_key = ?

-- name: files
SELECT blob, digest FROM package
