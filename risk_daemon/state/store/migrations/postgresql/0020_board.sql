-- The board of guards over the same accounts: who may open, and what holds for each. See state/board/base.py.
CREATE TABLE boards (
    name TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    words BIGINT NOT NULL,
    holder TEXT NOT NULL DEFAULT '',
    held_until TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    since TIMESTAMPTZ NOT NULL,
    server TIMESTAMPTZ NOT NULL
);
CREATE TABLE board_standings (
    board TEXT NOT NULL REFERENCES boards (name) ON DELETE CASCADE,
    guard TEXT NOT NULL,
    run TEXT NOT NULL,
    seq BIGINT NOT NULL,
    said_at TIMESTAMPTZ NOT NULL,
    stays BOOLEAN NOT NULL,
    body TEXT NOT NULL,
    before TEXT,
    PRIMARY KEY (board, guard)
);
-- One call is one statement, so a guard that stops in the middle of it holds no lock of a row.
-- says NULL: nothing is said of what holds; the epoch is asked for, or let go of.
CREATE FUNCTION exchange_on_board(
    on_board TEXT, by_guard TEXT, of_run TEXT, number BIGINT, says TEXT, locks BOOLEAN, goes_on BOOLEAN, wants BOOLEAN,
    known_epoch BIGINT, known_words BIGINT, known_server TEXT, doubts BOOLEAN, lease INTERVAL
) RETURNS TEXT LANGUAGE plpgsql AS $$
DECLARE
    b boards%ROWTYPE;
    mine board_standings%ROWTYPE;
    me CONSTANT TEXT := by_guard || ':' || of_run;
    server CONSTANT TEXT := extract(epoch FROM pg_postmaster_start_time())::TEXT;
    at TIMESTAMPTZ;
    before_me TEXT;
    is_set_back BOOLEAN;
    is_taken BOOLEAN;
    is_settled BOOLEAN;
    is_ours BOOLEAN := FALSE;
BEGIN
    INSERT INTO boards (name, epoch, words, since, server)
    VALUES (on_board, known_epoch, known_words, clock_timestamp(), pg_postmaster_start_time()) ON CONFLICT DO NOTHING;
    SELECT * INTO b FROM boards WHERE name = on_board FOR UPDATE;
    at := clock_timestamp();
    -- A holder for longer than a lease was one before the clock was set back.
    is_set_back := b.held_until > at + lease;
    -- One that knows of less than a guard was restored; where its clock was moved, a lease may be over too early.
    IF known_epoch > b.epoch OR known_words > b.words OR doubts OR b.since > at OR is_set_back
        OR b.server <> pg_postmaster_start_time() OR known_server NOT IN ('', server)
    THEN
        b.since := at;
        b.server := pg_postmaster_start_time();
        b.held_until := '-infinity';
    END IF;
    IF b.held_until <= at THEN
        b.holder := '';
        b.held_until := '-infinity';
    END IF;
    b.epoch := greatest(b.epoch, known_epoch);
    b.words := greatest(b.words, known_words) + 1;
    SELECT * INTO mine FROM board_standings WHERE board = on_board AND guard = by_guard;
    IF says IS NOT NULL AND mine.run = of_run AND number <= mine.seq THEN
        RAISE EXCEPTION 'a later word was here first';
    END IF;
    -- What locks is taken in, whoever says it under this name; and who took leave has it no more.
    is_taken := says IS NOT NULL AND NOT locks AND coalesce(
        mine.stays AND mine.run <> of_run AND mine.said_at <= at AND mine.said_at > at - lease, FALSE
    );
    is_settled := at - b.since >= lease;
    -- Kept for as long as this run stands: an answer may be lost on the way.
    before_me := CASE WHEN mine.run <> of_run THEN mine.body ELSE mine.before END;
    IF NOT is_taken THEN
        IF says IS NOT NULL THEN
            INSERT INTO board_standings (board, guard, run, seq, said_at, stays, body, before)
            VALUES (on_board, by_guard, of_run, number, at, goes_on, says, before_me)
            ON CONFLICT (board, guard) DO UPDATE
            SET run = of_run, seq = number, said_at = at, stays = goes_on, body = says, before = before_me;
        END IF;
        IF wants AND is_settled AND b.holder IN ('', me) THEN
            b.epoch := b.epoch + (b.holder = '')::INT;
            b.holder := me;
            b.held_until := at + lease;
            is_ours := TRUE;
        ELSIF b.holder = me THEN
            b.holder := '';
        END IF;
    END IF;
    UPDATE boards SET epoch = b.epoch, words = b.words, holder = b.holder, held_until = b.held_until, since = b.since,
        server = b.server
    WHERE name = on_board;
    RETURN json_build_object(
        'epoch', b.epoch, 'words', b.words, 'at_s', extract(epoch FROM at), 'holder', b.holder,
        'is_ours', is_ours, 'is_taken', is_taken, 'is_settled', is_settled,
        'before', before_me, 'server', server,
        'others', (SELECT coalesce(json_object_agg(guard, json_build_array(body, extract(epoch FROM at - said_at))),
                                   '{}') FROM board_standings
                   WHERE board = on_board AND guard <> by_guard AND said_at BETWEEN b.since AND at)
    )::TEXT;
END
$$;
