-- Tasks, their history, and what a day holds back. Columns as in the file (store/schema.py); two kinds of JSON:
-- `json` keeps the text of a paid call as it was written, so that a resend is the same bytes.
CREATE TABLE tasks (
  id text PRIMARY KEY,
  state text NOT NULL,
  created_at double precision NOT NULL,
  updated_at double precision NOT NULL,
  day text NOT NULL,
  provider text NOT NULL,
  simulated smallint NOT NULL,
  offer_id text NOT NULL,
  model text NOT NULL,
  tier text NOT NULL,
  mode text NOT NULL,
  prompt text NOT NULL,
  owner text NOT NULL,
  idempotency_key text,
  request_digest text NOT NULL,
  quote_usd numeric,
  reserved_usd numeric NOT NULL,
  sent_at double precision,
  took_s double precision,
  finished_at double precision,
  stopped_following smallint NOT NULL DEFAULT 0,
  bought json NOT NULL,
  became json NOT NULL,
  local_media json NOT NULL,
  holder text,
  claim bigint NOT NULL,
  follow_job bigint
);
CREATE UNIQUE INDEX task_keys ON tasks (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX task_twins ON tasks (request_digest, created_at);
CREATE INDEX task_days ON tasks (day);
CREATE INDEX task_ages ON tasks (created_at, id);
CREATE INDEX task_paces ON tasks (offer_id, simulated, created_at) WHERE took_s IS NOT NULL;
CREATE INDEX task_jobs ON tasks ((became ->> 'job_id')) WHERE became ->> 'job_id' IS NOT NULL;
CREATE INDEX task_open ON tasks (follow_job)
  WHERE state NOT IN ('cancelled', 'failed', 'succeeded', 'uncertain') AND stopped_following = 0;
CREATE TABLE events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_id text NOT NULL REFERENCES tasks (id),
  at double precision NOT NULL,
  state text NOT NULL,
  what text NOT NULL
);
CREATE INDEX task_events ON events (task_id, id);
CREATE TABLE budgets (
  payer text NOT NULL,
  day text NOT NULL,
  used_usd numeric NOT NULL,
  PRIMARY KEY (payer, day)
);
CREATE TABLE stops (
  at double precision NOT NULL,
  process text NOT NULL,
  why text NOT NULL
);
