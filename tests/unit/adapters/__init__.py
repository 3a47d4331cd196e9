"""What these tests share."""

# An exchange of ccxt of which no more is known than ccxt says; test_registry.py checks that it stays so.
WITHOUT_A_FILE = "bitvavo"
