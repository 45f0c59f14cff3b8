-- Preparations and releases that were interrupted said that they run, for good: what has no execution has ended.

UPDATE job_node SET fence = 0, preparation = json_set(
    preparation, '$.state', 'completed', '$.ended_at', json_extract(preparation, '$.started_at'), '$.result', 'failure',
    '$.failure', json('{"category": "servererror", "code": "TaskEnded", "message": "The task was interrupted.", "details": []}'))
WHERE json_extract(preparation, '$.state') = 'running' AND NOT EXISTS (
    SELECT 1 FROM execution WHERE name = 'p' || job_node.pk || '.' || json_extract(preparation, '$.attempt'));

UPDATE job_node SET release_fence = 0, release = json_set(
    release, '$.state', 'completed', '$.ended_at', json_extract(release, '$.started_at'), '$.result', 'failure',
    '$.failure', json('{"category": "servererror", "code": "TaskEnded", "message": "The task was interrupted.", "details": []}'))
WHERE json_extract(release, '$.state') = 'running' AND NOT EXISTS (
    SELECT 1 FROM execution WHERE name = 'r' || job_node.pk || '.' || json_extract(release, '$.attempt'));
