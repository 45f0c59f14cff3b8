-- Storage accounts, the links of batch accounts to them, and packages that lie in linked storage.

CREATE TABLE storage_account (
    name TEXT NOT NULL PRIMARY KEY,
    resource_id TEXT NOT NULL,
    room TEXT NOT NULL,
    key1 TEXT NOT NULL,
    key2 TEXT NOT NULL,
    key1_at INTEGER NOT NULL,
    key2_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    endpoint TEXT,
    resource_key TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE storage_link (
    account TEXT NOT NULL PRIMARY KEY REFERENCES account (name_key) ON DELETE CASCADE,
    storage_id TEXT NOT NULL,
    key TEXT NOT NULL,
    synced_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The storage account that holds the package's upload; NULL: the service's own files.
ALTER TABLE package ADD COLUMN storage TEXT;
