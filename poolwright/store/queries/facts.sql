-- name: insert
INSERT INTO fact (at, kind, account, subject, detail, subject_key) VALUES (?, ?, ?, ?, ?, ?)

-- name: of_subject
SELECT at, kind, account, subject, detail FROM fact
WHERE account = ? AND subject_key = ? AND subject_key <> '' ORDER BY pk DESC LIMIT ?

-- name: after
SELECT pk, at, kind, account, subject, detail FROM fact
WHERE pk > ?1 AND pk <= ?2 AND (?3 IS NULL OR account = ?3)
    AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(?4) WHERE fact.kind GLOB json_each.value))
ORDER BY pk LIMIT ?5

-- name: first
SELECT min(pk) FROM fact

-- name: last
SELECT max(pk) FROM fact

-- name: prune
DELETE FROM fact WHERE pk <= (SELECT max(pk) FROM fact) - ?

-- name: prune_old
-- The newest fact stays, so that no number is given twice.
DELETE FROM fact
WHERE pk < (SELECT min(pk) FROM fact) + ?1 AND pk < (SELECT max(pk) FROM fact) AND at < ?2

-- name: count
INSERT INTO fact_total (account, kind, count) VALUES (?, ?, ?)
ON CONFLICT (account, kind) DO UPDATE SET count = count + excluded.count

-- name: totals
SELECT account, kind, count FROM fact_total ORDER BY account, kind
