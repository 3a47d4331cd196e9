"""`python -m adapters.simulated KIND`: a simulated venue that ends when its standard input does."""

import sys

from adapters.simulated.server import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1], 0, exit_on_stdin_eof=True))
