-- Jobs whose worker is no worker any more: looked for every two seconds, among however many there are.
CREATE INDEX kling_orphaned_jobs ON procrastinate_jobs (id) WHERE status = 'doing' AND worker_id IS NULL;
