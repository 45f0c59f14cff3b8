-- fragment: columns
account, pool, owner, owner_id, keep_alive, made_at

-- The owner still needs the pool.
-- fragment: needed
CASE a.owner
    WHEN 'job' THEN EXISTS (
        SELECT 1 FROM job j
        WHERE j.account = a.account AND j.id_key = a.owner_key AND j.pool_key = a.pool_key AND j.state <> 'completed'
    )
    ELSE EXISTS (
        SELECT 1 FROM job_schedule s
        WHERE s.account = a.account AND s.id_key = a.owner_key AND lower(s.pool) = a.pool_key
            AND s.state <> 'completed'
    ) OR EXISTS (
        SELECT 1 FROM job j
        WHERE j.account = a.account AND j.pool_key = a.pool_key AND lower(j.schedule) = a.owner_key
            AND j.state <> 'completed'
    )
END

-- name: get
SELECT {columns} FROM auto_pool WHERE account = ? AND pool_key = ?

-- name: insert
INSERT INTO auto_pool ({columns}, pool_key, owner_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: keep
UPDATE auto_pool SET keep_alive = ? WHERE account = ? AND pool_key = ?

-- name: delete
DELETE FROM auto_pool WHERE account = ? AND pool_key = ?

-- name: holder
SELECT {columns} FROM auto_pool a WHERE account = ? AND pool_key = ? AND {needed}

-- name: idle
SELECT {columns} FROM auto_pool a WHERE NOT ({needed}) ORDER BY account, pool_key
