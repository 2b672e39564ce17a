-- The ledger of one gateway or of several, in the schema `portway` of a database.
-- Texts are compared by their bytes: ids sort by time then, and LIKE is exact.
-- For people: SELECT * FROM portway.records ORDER BY id DESC LIMIT 100.
CREATE SCHEMA IF NOT EXISTS portway;

-- What the ledger has to remember of itself.
-- `version`: of this schema. `kept:PROTOCOL`: what began before then, in seconds since
-- the epoch, and is old enough, is deleted already. `anonymous`: rows up to that number
-- name nobody any more.
CREATE TABLE portway.marks (
  name TEXT COLLATE "C" PRIMARY KEY,
  value DOUBLE PRECISION NOT NULL
);

CREATE SEQUENCE portway.numbers;

-- One row for each request that was answered, or is being answered.
-- `number` grows with every write, updates too. All that write take the same lock
-- before they take numbers and let go of it once their rows can be seen: who sees a
-- number sees every one below it. `gateway` is the gateway that wrote the row.
CREATE TABLE portway.records (
  number BIGINT NOT NULL DEFAULT nextval('portway.numbers'),
  id TEXT COLLATE "C" PRIMARY KEY,
  time DOUBLE PRECISION NOT NULL,  -- seconds since the epoch
  duration DOUBLE PRECISION NOT NULL,  -- seconds
  session TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  protocol TEXT COLLATE "C" NOT NULL,
  listener TEXT COLLATE "C" NOT NULL,
  mode TEXT COLLATE "C" NOT NULL,
  client TEXT COLLATE "C" NOT NULL,
  client_port INTEGER NOT NULL,
  "user" TEXT COLLATE "C" NOT NULL,
  by TEXT COLLATE "C" NOT NULL,
  method TEXT COLLATE "C" NOT NULL,
  action TEXT COLLATE "C" NOT NULL,
  url TEXT COLLATE "C" NOT NULL,
  host TEXT COLLATE "C" NOT NULL,
  port INTEGER NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  address TEXT COLLATE "C" NOT NULL,
  source TEXT COLLATE "C" NOT NULL,
  verdict TEXT COLLATE "C" NOT NULL,
  rule TEXT COLLATE "C" NOT NULL,
  rule_at TEXT COLLATE "C" NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  because TEXT COLLATE "C" NOT NULL,
  outcome TEXT COLLATE "C" NOT NULL,
  status TEXT COLLATE "C" NOT NULL,
  error TEXT COLLATE "C" NOT NULL,
  side TEXT COLLATE "C" NOT NULL,
  ended_by TEXT COLLATE "C" NOT NULL,
  bytes_up BIGINT NOT NULL,
  bytes_down BIGINT NOT NULL,
  server_login TEXT COLLATE "C" NOT NULL,
  facts TEXT COLLATE "C" NOT NULL,  -- a JSON object of texts
  gateway TEXT COLLATE "C" NOT NULL
);

CREATE UNIQUE INDEX records_number ON portway.records (number);

-- What a start has to find: rows that the gateway left open when it died.
CREATE INDEX records_open ON portway.records (gateway) WHERE outcome = 'open';

-- The address that a text is, without its zone; none if it is no address.
CREATE FUNCTION portway.address(written TEXT) RETURNS INET
  LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN written ~ '^[0-9a-fA-F:.]+(%.*)?$'
      THEN split_part(written, '%', 1)::inet END
  $$;

-- What people ask for as a whole, or by one end of it.
CREATE INDEX records_user ON portway.records ("user");
CREATE INDEX records_client ON portway.records (portway.address(client));
CREATE INDEX records_host ON portway.records (host);
CREATE INDEX records_host_end ON portway.records (reverse(host));
CREATE INDEX records_address ON portway.records (address);
CREATE INDEX records_denied ON portway.records (id) WHERE verdict = 'deny';

-- Parts of a text are found by the three letters that they are made of, if that
-- extension is to be had. Without it a search reads all rows of its time.
DO $$
DECLARE
  place TEXT;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
    CREATE EXTENSION pg_trgm WITH SCHEMA portway;
  END IF;
  SELECT quote_ident(nspname) INTO place
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'pg_trgm';
  EXECUTE replace(
    'CREATE INDEX records_text ON portway.records '
    'USING gin ((host || path) OPS, "user" OPS)',
    'OPS', place || '.gin_trgm_ops');
EXCEPTION
  WHEN undefined_file OR feature_not_supported OR insufficient_privilege THEN
    RAISE NOTICE 'portway: searches are slow without the extension pg_trgm';
END
$$;
