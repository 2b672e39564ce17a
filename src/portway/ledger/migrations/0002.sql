-- What is searched for in a span of rows, as lines of text that are read through at
-- memory's speed: a look-up costs 0.1 to 0.4 s in five million rows, and a row's part
-- in it 6 µs, a tenth of what a B-tree for each of these fields would cost the writer.

-- A span of rows: those of numbers from `first` to `last`, `count` of them when it was
-- made. What they hold began from `since` to `until`, seconds since the epoch.
-- `anonymous` is 1 once they name nobody any more.
CREATE TABLE spans (
  last INTEGER PRIMARY KEY,
  first INTEGER NOT NULL,
  since REAL NOT NULL,
  until REAL NOT NULL,
  anonymous INTEGER NOT NULL DEFAULT 0
) STRICT;

-- For each field, the lines of each span: for each of its rows the number, a tab, the
-- text in small letters. A text begins and ends with a line feed. Tables with an integer
-- for their key: where the key is more, SQLite reads whole texts to compare two keys.
CREATE TABLE lines_user (last INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;
CREATE TABLE lines_client (last INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;
CREATE TABLE lines_host (last INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;
CREATE TABLE lines_address (last INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;
CREATE TABLE lines_place (last INTEGER PRIMARY KEY, text BLOB NOT NULL) STRICT;

-- What the ledger has to remember of itself.
-- `spanned`: the number of the last row that a span was made of.
-- `base`: rows of greater numbers were first written to this file.
-- `kept:PROTOCOL`: what began before then, and is old enough, is deleted already.
CREATE TABLE marks (
  name TEXT PRIMARY KEY,
  value REAL NOT NULL
) STRICT, WITHOUT ROWID;
