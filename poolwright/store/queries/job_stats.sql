-- name: add
INSERT INTO job_stats (job_pk, user, kernel, wall, reads, writes, read_bytes, written_bytes, waited, retries, last_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (job_pk) DO UPDATE SET user = user + excluded.user, kernel = kernel + excluded.kernel,
    wall = wall + excluded.wall, reads = reads + excluded.reads, writes = writes + excluded.writes,
    read_bytes = read_bytes + excluded.read_bytes, written_bytes = written_bytes + excluded.written_bytes,
    waited = waited + excluded.waited, retries = retries + excluded.retries, last_at = max(last_at, excluded.last_at)

-- name: get
SELECT user, kernel, wall, reads, writes, read_bytes, written_bytes, waited, retries, last_at
FROM job_stats WHERE job_pk = ?

-- The schedule's jobs, in front, so that the cost is theirs.
-- name: of_schedule
SELECT coalesce(sum(s.user), 0), coalesce(sum(s.kernel), 0), coalesce(sum(s.wall), 0), coalesce(sum(s.reads), 0),
    coalesce(sum(s.writes), 0), coalesce(sum(s.read_bytes), 0), coalesce(sum(s.written_bytes), 0),
    coalesce(sum(s.waited), 0), coalesce(sum(s.retries), 0), coalesce(max(s.last_at), 0)
FROM job j CROSS JOIN job_stats s ON s.job_pk = j.pk
WHERE j.account = ? AND lower(j.schedule) = ? AND j.schedule IS NOT NULL
