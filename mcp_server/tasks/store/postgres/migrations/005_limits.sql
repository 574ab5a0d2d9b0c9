-- What all workers together may ask of a vendor account: calls at once, each a row that is leased, and calls a second.
CREATE TABLE vendor_slots (
  account text NOT NULL,
  number integer NOT NULL,
  holder text,
  until timestamptz NOT NULL,
  PRIMARY KEY (account, number)
);
CREATE TABLE vendor_pace (
  account text PRIMARY KEY,
  spent_until timestamptz NOT NULL
);
