"""Judges a run of cargo-mutants: nine of ten changes must be caught, and of the guard and of tokens all.

    verdict.py FOLDER      the folder `mutants.out` of the run
"""

import json
import pathlib
import sys

SHARE = 0.9
NONE_MISSED = (
    "plan/guard", "sqlite/guard", "sqlite/watched", "lane/brink", "bridge/token", "http/front", "http/caller",
)


def main():
    outcomes = json.loads((pathlib.Path(sys.argv[1]) / "outcomes.json").read_text())["outcomes"]
    caught, missed, late, rest = 0, [], [], 0
    for outcome in outcomes:
        if outcome["scenario"] == "Baseline":
            continue
        name = outcome["scenario"]["Mutant"]["name"]
        match outcome["summary"]:
            case "CaughtMutant":
                caught += 1
            case "Timeout":
                caught += 1
                late.append(name)
            case "MissedMutant":
                missed.append(name)
            case _:
                rest += 1
    total = caught + len(missed)
    if not total:
        print("nothing was changed, so nothing is shown")
        return 1
    # An endless loop has been noticed; a busy machine looks the same.
    for name in late:
        print(f"hangs   {name}")
    for name in missed:
        print(f"missed  {name}")
    strict = [name for name in missed if any(part in name for part in NONE_MISSED)]
    print(f"{caught} of {total} changes were noticed ({100 * caught / total:.1f} %), {rest} did not build")
    print(f"{caught} passed, {len(missed)} failed")
    return 0 if caught >= SHARE * total and not strict else 1


if __name__ == "__main__":
    sys.exit(main())
