"""What a scrape tells: counters that the daemon keeps, and a table from the status to named samples."""
