-- What pools came to since they were made (JSON), grown with each sample and gone with the pool.

CREATE TABLE pool_stats (
    account TEXT NOT NULL,
    pool_key TEXT NOT NULL,
    stats TEXT NOT NULL,
    PRIMARY KEY (account, pool_key),
    FOREIGN KEY (account, pool_key) REFERENCES pool (account, id_key) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
