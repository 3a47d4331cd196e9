"""The tables of rules, one file each: what may be set, what it makes, and how it is told. Nothing else is here."""
