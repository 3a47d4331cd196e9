CREATE TABLE revision (
    only_row INTEGER PRIMARY KEY NOT NULL CHECK (only_row = 1),
    number INTEGER NOT NULL,
    lineage TEXT NOT NULL
);
INSERT INTO revision VALUES (1, 0, '{}');
