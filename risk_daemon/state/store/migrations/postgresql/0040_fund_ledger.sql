-- What the members of a fund share: one document a fund, changed by compare-and-set. See state/fund/postgres.py.
CREATE TABLE fund_ledgers (
    fund TEXT PRIMARY KEY,
    revision TEXT NOT NULL CHECK (revision <> ''),
    document TEXT NOT NULL
);
