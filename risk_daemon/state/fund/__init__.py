"""Where the record that a fund's members share is kept."""
