-- The example resource. Times are milliseconds since 1970 UTC; their upper bound is the end of
-- the year 9999, the last one that RFC 3339 can write. An id is never given twice, even after
-- a DELETE (AUTOINCREMENT): the ETag is made of the version alone, which starts at 1 again.
CREATE TABLE items (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
	category TEXT NOT NULL CHECK (length(category) BETWEEN 1 AND 64),
	quantity INTEGER NOT NULL CHECK (quantity BETWEEN 0 AND 2147483647),
	price_cents INTEGER NOT NULL CHECK (price_cents BETWEEN 0 AND 9007199254740991),
	created_at INTEGER NOT NULL CHECK (created_at BETWEEN 0 AND 253402300799999),
	updated_at INTEGER NOT NULL CHECK (updated_at BETWEEN 0 AND 253402300799999),
	version INTEGER NOT NULL CHECK (version > 0)
) STRICT;

-- Every index ends with the id, which SQLite appends: it breaks ties between equal keys, and
-- lets the next page start behind a row instead of behind its key.
CREATE INDEX items_by_category ON items (category);
CREATE INDEX items_by_name ON items (name);
CREATE INDEX items_by_price ON items (price_cents);
CREATE INDEX items_by_category_name ON items (category, name);

-- For a category's items by price, and for the inventory report, which reads nothing else:
-- groups come in order of category, and within one the prices in order, so that the median is
-- found without sorting. The id is spelt out because it must come before the quantity.
CREATE INDEX items_by_category_price ON items (category, price_cents, id, quantity);
