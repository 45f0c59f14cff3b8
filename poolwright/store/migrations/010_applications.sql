-- Application packages. The bytes are files: an upload under the name `blob`, what nodes get under its digest.

CREATE TABLE application (
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    display_name TEXT,
    allow_updates INTEGER NOT NULL,
    default_version TEXT,
    id_key TEXT NOT NULL,
    PRIMARY KEY (account, id_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE package (
    account TEXT NOT NULL,
    application TEXT NOT NULL,
    version TEXT NOT NULL,
    blob TEXT NOT NULL,
    secret TEXT NOT NULL,
    url_until INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    digest TEXT,
    size_bytes INTEGER NOT NULL,
    activated_at INTEGER,
    application_key TEXT NOT NULL,
    version_key TEXT NOT NULL,
    PRIMARY KEY (account, application_key, version_key),
    FOREIGN KEY (account, application_key) REFERENCES application (account, id_key) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX package_blob ON package (blob);

-- What a node got from its pool in its present life (JSON).
ALTER TABLE node ADD COLUMN packages TEXT NOT NULL DEFAULT '{}';
