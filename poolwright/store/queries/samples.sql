-- name: record
INSERT INTO sample (account, pool_key, at, metrics) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: between
SELECT at, metrics FROM sample WHERE account = ? AND pool_key = ? AND at >= ? AND at <= ? ORDER BY at

-- name: prune
DELETE FROM sample WHERE at < ?

-- A task of N instances is of size 1000 + N: it counts N times while it is active, and takes N slots.
-- name: task_figures
SELECT
    coalesce(sum(CASE WHEN j.state = 'active' THEN (c.active - c.waiting) * max(1, c.slots - 1000) END), 0),
    coalesce(sum(c.running), 0),
    coalesce(sum(c.succeeded), 0),
    coalesce(sum(c.failed), 0),
    coalesce(sum(CASE WHEN j.state = 'active' THEN (c.active - c.waiting) * (c.slots % 1000) END), 0),
    coalesce(sum(c.running * (c.slots % 1000)), 0)
FROM job j CROSS JOIN task_count c ON c.job_pk = j.pk WHERE j.account = ? AND j.pool_key = ?

-- name: stats
SELECT stats FROM pool_stats WHERE account = ? AND pool_key = ?

-- name: put_stats
INSERT INTO pool_stats (account, pool_key, stats) VALUES (?, ?, ?)
ON CONFLICT (account, pool_key) DO UPDATE SET stats = excluded.stats
