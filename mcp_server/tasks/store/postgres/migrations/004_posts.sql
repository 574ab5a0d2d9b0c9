-- Vendors' posts that were heard, by whichever server: the same one is good once. Short of memory; old ones are removed.
CREATE TABLE posts (
  id text PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX post_ages ON posts (at);
