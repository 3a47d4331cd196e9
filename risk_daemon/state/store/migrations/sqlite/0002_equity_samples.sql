CREATE TABLE equity_samples (
    wall REAL PRIMARY KEY NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;
