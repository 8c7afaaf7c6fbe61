-- The answers kept for Idempotency-Key, each written in the transaction of the change that it
-- answers. fingerprint is the SHA-256 of the request, so that a key cannot be used for another.
CREATE TABLE kept_answers (
	key TEXT NOT NULL PRIMARY KEY,
	fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
	kept_at INTEGER NOT NULL, -- ms since 1970 UTC
	status INTEGER NOT NULL,
	location TEXT, -- header fields; NULL when the answer had none
	etag TEXT,
	body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- For throwing the oldest away.
CREATE INDEX kept_answers_by_age ON kept_answers (kept_at);
