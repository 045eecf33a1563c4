"""One table of two files of figures: the median of each, and how they compare."""

import statistics
import sys


def medians(path):
    figures = {}
    with open(path) as lines:
        for line in lines:
            name, unit, value = line.rstrip("\n").split("\t")
            figures.setdefault((name, unit), []).append(float(value))
    return {key: statistics.median(values) for key, values in figures.items()}


def main():
    revision, before, now = sys.argv[1], medians(sys.argv[2]), medians(sys.argv[3])
    print(f"{'':34} {'unit':>6} {revision:>12} {'now':>12} {'now/before':>11}")
    for (name, unit), value in now.items():
        old = before.get((name, unit))
        beside = "{:12.2f} {:12.2f} {:11.2f}".format(old, value, value / old) if old else f"{'-':>12} {value:12.2f}"
        print(f"{name:34} {unit:>6} {beside}")


if __name__ == "__main__":
    main()
