-- Wishes to stop a task at its vendor, from servers that hold no key of it; the worker that follows the task asks and answers.
CREATE TABLE wishes (
  task_id text PRIMARY KEY REFERENCES tasks (id),
  at timestamptz NOT NULL DEFAULT now(),
  answered timestamptz,
  done boolean,
  words text
);
