-- name: insert
INSERT INTO fact (at, kind, account, subject, detail, subject_key) VALUES (?, ?, ?, ?, ?, ?)

-- name: of_subject
SELECT at, kind, account, subject, detail FROM fact
WHERE account = ? AND subject_key = ? ORDER BY pk DESC LIMIT ?

-- name: prune
DELETE FROM fact WHERE pk <= (SELECT max(pk) FROM fact) - ?
