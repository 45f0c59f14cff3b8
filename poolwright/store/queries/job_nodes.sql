-- fragment: columns
pk, job_pk, account, pool, node, machine, fence, preparation, release, release_fence, wiped

-- name: next_pk
UPDATE sequence SET last = last + 1 WHERE name = 'job_node' RETURNING last

-- name: put
INSERT INTO job_node ({columns}, pool_key, node_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (pk) DO UPDATE SET machine = excluded.machine, fence = excluded.fence, preparation = excluded.preparation,
    release = excluded.release, release_fence = excluded.release_fence, wiped = excluded.wiped

-- name: get
SELECT {columns} FROM job_node WHERE pk = ?

-- name: of_nodes
SELECT {columns} FROM job_node
WHERE job_pk = ? AND pool_key = ? AND node_key IN (SELECT value FROM json_each(?))

-- name: page
SELECT {columns} FROM job_node WHERE job_pk = ? AND pk > ? ORDER BY pk LIMIT ?

-- name: wiped
UPDATE job_node SET wiped = 1 WHERE account = ? AND pool_key = ? AND node_key = ?
