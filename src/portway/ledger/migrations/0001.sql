-- One row for each request that was answered, or is being answered.
-- `number` grows with every write, updates too: who follows the ledger asks for more
-- than the last one seen. `id` begins with `time` in milliseconds, so its index also
-- finds a span of time.
CREATE TABLE records (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  time REAL NOT NULL,  -- seconds since the epoch
  duration REAL NOT NULL,  -- seconds
  session TEXT NOT NULL,
  seq INTEGER NOT NULL,
  protocol TEXT NOT NULL,
  listener TEXT NOT NULL,
  mode TEXT NOT NULL,
  client TEXT NOT NULL,
  client_port INTEGER NOT NULL,
  user TEXT NOT NULL,
  by TEXT NOT NULL,
  method TEXT NOT NULL,
  action TEXT NOT NULL,
  url TEXT NOT NULL,
  host TEXT NOT NULL,
  port INTEGER NOT NULL,
  path TEXT NOT NULL,
  address TEXT NOT NULL,
  source TEXT NOT NULL,
  verdict TEXT NOT NULL,
  rule TEXT NOT NULL,
  rule_at TEXT NOT NULL,
  reason TEXT NOT NULL,
  because TEXT NOT NULL,
  outcome TEXT NOT NULL,
  status TEXT NOT NULL,
  error TEXT NOT NULL,
  side TEXT NOT NULL,
  ended_by TEXT NOT NULL,
  bytes_up INTEGER NOT NULL,
  bytes_down INTEGER NOT NULL,
  server_login TEXT NOT NULL,
  facts TEXT NOT NULL  -- a JSON object of texts
) STRICT;

-- What a start has to find: rows that the gateway left open when it died.
CREATE INDEX records_open ON records (id) WHERE outcome = 'open';
