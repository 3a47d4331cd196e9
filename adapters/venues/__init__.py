"""One file an exchange: all that is known of it beyond ccxt's own word, as one `Venue`. The registry names them."""
