-- One row a guard: which save the server has, of which run, and when somebody was last there.
CREATE TABLE guards (
    name TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    run TEXT NOT NULL,
    saved_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    seen_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
-- The documents as they are in state.db: JSON, kept as the text that it is.
CREATE TABLE state_documents (
    guard TEXT NOT NULL REFERENCES guards (name) ON DELETE CASCADE,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (guard, key)
);
CREATE TABLE equity_samples (
    guard TEXT NOT NULL,
    wall DOUBLE PRECISION NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (guard, wall)
);
