"""The demo as a program: `python examples/circuit_breaker_demo.py`. The same as `risk-daemon demo`.

Ends with exit code 1 when the circuit breaker triggered and every cancel is proven; anything else went wrong.
"""

from __future__ import annotations

import sys

from risk_daemon.__main__ import main

if __name__ == "__main__":
    sys.argv[1:] = ["demo"]
    sys.exit(main())
