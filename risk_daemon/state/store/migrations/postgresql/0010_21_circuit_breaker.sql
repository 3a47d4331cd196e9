-- The day's snapshots by account, and the accounts that they are expected of.
--
-- It may run again at any time, and runs on plain PostgreSQL. With TimescaleDB the snapshots are a hypertable: the
-- extension is made only where the server has loaded it, for a server that has not would drop the connection, and where
-- this user may make it. Where it can't be made the table is a plain one.

DO $$
BEGIN
    -- By the view: who may not see the setting sees no row there, where `current_setting` would refuse.
    IF (
            SELECT 'timescaledb' = ANY (string_to_array(replace(setting, ' ', ''), ','))
            FROM pg_settings WHERE name = 'shared_preload_libraries'
        )
        AND EXISTS (
            SELECT FROM pg_available_extension_versions
            WHERE name = 'timescaledb' AND (trusted OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
        )
        AND has_database_privilege(current_database(), 'CREATE')
    THEN
        CREATE EXTENSION IF NOT EXISTS timescaledb;
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS guarded_accounts (
    account_id          UUID PRIMARY KEY,
    guard               TEXT NOT NULL,
    venue               TEXT NOT NULL,
    exchange            TEXT NOT NULL,
    registered_at       TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Both ratios come from the amounts: a generated column can't be made of another one. What has no start above zero has
-- no ratio, and is breached: what can't be reckoned is not well. The limit is compared without a division, so nothing
-- is rounded. guard_start_of_day is what the guard measures its own loss of the day from: flows scale it.
CREATE TABLE IF NOT EXISTS daily_pnl_snapshots (
    id                  UUID NOT NULL DEFAULT gen_random_uuid(),
    account_id          UUID NOT NULL,
    snapshot_time       TIMESTAMPTZ NOT NULL,
    start_of_day_equity NUMERIC(20, 2) NOT NULL,
    current_equity      NUMERIC(20, 2) NOT NULL,
    realized_pnl        NUMERIC(20, 2),
    unrealized_pnl      NUMERIC(20, 2),
    loss_limit          NUMERIC NOT NULL DEFAULT 0.03 CHECK (loss_limit > 0),
    guard               TEXT NOT NULL,
    guard_start_of_day  NUMERIC(20, 2),
    reference_currency  TEXT NOT NULL,
    trading_day         DATE NOT NULL,
    day_ends_at         TIMESTAMPTZ NOT NULL,
    total_drawdown_pct  NUMERIC GENERATED ALWAYS AS (
        CASE WHEN start_of_day_equity > 0
            THEN round((start_of_day_equity - current_equity) / start_of_day_equity, 8)
        END
    ) STORED,
    is_breached         BOOLEAN GENERATED ALWAYS AS (
        CASE WHEN start_of_day_equity > 0
            THEN start_of_day_equity - current_equity >= loss_limit * start_of_day_equity
            ELSE TRUE
        END
    ) STORED,
    PRIMARY KEY (id, snapshot_time),
    CONSTRAINT amounts_are_numbers CHECK ('NaN' NOT IN (start_of_day_equity, current_equity, loss_limit))
);

CREATE INDEX IF NOT EXISTS daily_pnl_snapshots_account_time
    ON daily_pnl_snapshots (account_id, snapshot_time DESC);

-- For what is too old to be kept; rows come in the order of their time.
CREATE INDEX IF NOT EXISTS daily_pnl_snapshots_time ON daily_pnl_snapshots USING brin (snapshot_time);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable('daily_pnl_snapshots', 'snapshot_time', if_not_exists => TRUE, migrate_data => TRUE);
    END IF;
END
$$;
