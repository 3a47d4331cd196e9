-- What each member of a fund said of itself last. See state/fund/postgres_readings.py.
CREATE UNLOGGED TABLE fund_readings (
    fund TEXT NOT NULL,
    seat TEXT NOT NULL,
    reading TEXT NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (fund, seat)
);
