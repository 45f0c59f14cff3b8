-- Uploads of nodes' logs that were promised and are not over: what to upload where (JSON, with the address's secret).

CREATE TABLE log_upload (
    id TEXT NOT NULL PRIMARY KEY,
    node TEXT NOT NULL,
    machine TEXT NOT NULL,
    fence INTEGER NOT NULL,
    job BLOB NOT NULL,
    promised_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
