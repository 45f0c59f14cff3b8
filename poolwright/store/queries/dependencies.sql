-- name: job_depends
SELECT depends FROM job WHERE pk = ?

-- name: known_met
SELECT parent_key FROM dependency_met WHERE job_pk = ? AND parent_key IN (SELECT value FROM json_each(?))

-- name: count_met
SELECT count(*) FROM dependency_met_number WHERE job_pk = ? AND number BETWEEN ? AND ?

-- name: insert
INSERT INTO dependency (job_pk, parent_key, task_pk) VALUES (?, ?, ?)

-- name: insert_block
INSERT INTO dependency_block (job_pk, level, block, task_pk) VALUES (?, ?, ?, ?)

-- name: meet
INSERT INTO dependency_met (job_pk, parent_key) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: meet_number
INSERT INTO dependency_met_number (job_pk, number) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: waiting_for
DELETE FROM dependency WHERE job_pk = ? AND parent_key = ? RETURNING task_pk

-- name: waiting_for_number
SELECT b.task_pk FROM json_each(?) CROSS JOIN dependency_block b
WHERE b.job_pk = ? AND b.level = json_each.key AND b.block = json_each.value

-- name: free
UPDATE task SET unmet = unmet - ? WHERE pk = ? RETURNING job_pk, slots, state, unmet

-- name: forget_met
DELETE FROM dependency_met WHERE job_pk = ?1 AND parent_key IN (
    SELECT parent_key FROM dependency_met WHERE job_pk = ?1 LIMIT ?2
)

-- name: forget_met_numbers
DELETE FROM dependency_met_number WHERE job_pk = ?1 AND number IN (
    SELECT number FROM dependency_met_number WHERE job_pk = ?1 LIMIT ?2
)

-- name: parents_of
SELECT d.parent_key, t.id, t.state FROM dependency d
LEFT JOIN task t ON t.job_pk = d.job_pk AND t.id_key = d.parent_key
WHERE d.task_pk = ? ORDER BY d.job_pk, d.parent_key LIMIT ?

-- name: met_numbers
SELECT number FROM dependency_met_number WHERE job_pk = ? AND number >= ? AND number <= ? ORDER BY number LIMIT ?

-- name: of_number
SELECT id, state FROM task WHERE job_pk = ? AND number = ? ORDER BY pk LIMIT 1

-- name: behind_failed
SELECT d.task_pk FROM task f CROSS JOIN dependency d ON d.job_pk = f.job_pk AND d.parent_key = f.id_key
CROSS JOIN task t ON t.pk = d.task_pk
WHERE f.job_pk = ? AND f.state = 'completed' AND f.result = 'failure' AND t.state = 'active' LIMIT ?

-- name: failed_numbers
SELECT f.number FROM task f
WHERE f.job_pk = ? AND f.state = 'completed' AND f.result = 'failure' AND f.number IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM dependency_met_number m WHERE m.job_pk = f.job_pk AND m.number = f.number)

-- name: has_blocks
SELECT 1 FROM dependency_block WHERE job_pk = ? LIMIT 1

-- name: behind_number
SELECT b.task_pk FROM json_each(?) CROSS JOIN dependency_block b
    ON b.job_pk = ? AND b.level = json_each.key AND b.block = json_each.value
CROSS JOIN task t ON t.pk = b.task_pk WHERE t.state = 'active' LIMIT ?
