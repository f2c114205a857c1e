"""`python3 -m sandbox`: make sure that there are the GIMPs to test with, and say where."""

from __future__ import annotations

import sys

from sandbox import GimpNotFound, find_gimp


def main() -> int:
    """Return 0 and print the version and place of each GIMP, or 1 and print why there is none."""
    # Any for most tests; the installer is tried with both series.
    for series in (None, "3.0", "3.2"):
        try:
            gimp = find_gimp(series=series)
        except GimpNotFound as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(f"GIMP {gimp.version}: {gimp.tree or 'the own of this system'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
