-- Films beside their tasks; `worker` is the engine's number of whoever drives one. What films hold back counts on every
-- day: it stands in `budgets` under the day 'films'. Ends that somebody wants to be told of, as in the file.
CREATE TABLE films (
  id text PRIMARY KEY,
  state text NOT NULL,
  created_at double precision NOT NULL,
  updated_at double precision NOT NULL,
  owner text NOT NULL,
  title text NOT NULL,
  digest text NOT NULL,
  simulated smallint NOT NULL,
  reserved_usd numeric NOT NULL,
  finished_at double precision,
  board json NOT NULL,
  shots json NOT NULL,
  became json NOT NULL,
  holder text,
  worker bigint,
  claim bigint NOT NULL
);
CREATE INDEX film_driven ON films (id) WHERE state IN ('filming', 'joining');
CREATE INDEX film_ages ON films (created_at);
CREATE TABLE film_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  film_id text NOT NULL REFERENCES films (id),
  at double precision NOT NULL,
  state text NOT NULL,
  what text NOT NULL
);
CREATE INDEX film_history ON film_events (film_id, id);
CREATE TABLE notices (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_id text NOT NULL,
  channel text NOT NULL,
  state text NOT NULL,
  at double precision NOT NULL,
  due double precision NOT NULL DEFAULT 0,
  attempts integer NOT NULL DEFAULT 0,
  done_at double precision,
  outcome text NOT NULL DEFAULT ''
);
CREATE INDEX notices_due ON notices (channel, due) WHERE done_at IS NULL;
