-- What the runs of tasks used, as their nodes counted it; of tasks that ended before this it is not known.
ALTER TABLE task ADD COLUMN used TEXT;
ALTER TABLE job_stats ADD COLUMN user INTEGER NOT NULL DEFAULT 0; -- microseconds of all cores
ALTER TABLE job_stats ADD COLUMN kernel INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_stats ADD COLUMN reads INTEGER NOT NULL DEFAULT 0; -- calls
ALTER TABLE job_stats ADD COLUMN writes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_stats ADD COLUMN read_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_stats ADD COLUMN written_bytes INTEGER NOT NULL DEFAULT 0;
