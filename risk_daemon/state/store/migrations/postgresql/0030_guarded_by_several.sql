-- An account may be guarded by several: each has a row of its own, which no other takes away. peers_group: of guards
-- that have [guard] peers; their accounts are the same, by whatever key.

ALTER TABLE guarded_accounts ADD COLUMN IF NOT EXISTS peers_group TEXT;
ALTER TABLE guarded_accounts DROP CONSTRAINT IF EXISTS guarded_accounts_pkey;
ALTER TABLE guarded_accounts ADD CONSTRAINT guarded_accounts_pkey PRIMARY KEY (guard, account_id);
