"""`python -m poolwright.cli`."""

from __future__ import annotations

from poolwright.cli.app import main

if __name__ == "__main__":
    main()
