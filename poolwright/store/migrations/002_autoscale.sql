-- Autoscale: what sizes a pool (JSON; NULL where nothing does), and the samples its formula looks at.
-- A sample is kept for a day; the key makes taking it twice harmless.

ALTER TABLE pool ADD COLUMN autoscale TEXT;

CREATE TABLE sample (
    account TEXT NOT NULL,
    pool_key TEXT NOT NULL,
    at INTEGER NOT NULL,
    metrics TEXT NOT NULL,
    PRIMARY KEY (account, pool_key, at),
    FOREIGN KEY (account, pool_key) REFERENCES pool (account, id_key) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX sample_at ON sample (at);
