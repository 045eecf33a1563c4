"""Judges what became of each change: nine of ten must be noticed, and of the guard and of tokens all."""

import collections

SHARE = 0.9
NONE_MISSED = (
    "plan/guard", "store/guard", "sqlite/guard", "sqlite/held", "sqlite/protected", "sqlite/recovery",
    "sqlite/removals", "sqlite/watched", "lane/brink", "bridge/token", "http/front", "http/caller",
)


def judge(results):
    """`results` says of each change, by its description, what became of it and by what; gives the exit status."""
    counts = collections.Counter(result for result, _ in results.values())
    caught, total = counts["caught"] + counts["hangs"], len(results) - counts["unviable"]
    if not total:
        print("nothing was changed, so nothing is shown")
        return 1
    # An endless loop has been noticed; a busy machine looks the same.
    for wanted in ("hangs", "missed"):
        for name, (result, by) in results.items():
            if result == wanted:
                print(f"{result:8}{name}  {by}".rstrip())
    missed = [name for name, (result, _) in results.items() if result == "missed"]
    strict = [name for name in missed if any(part in name for part in NONE_MISSED)]
    share = f"{100 * caught / total:.1f} %, {counts['hangs']} of them by the clock"
    print(f"{caught} of {total} changes were noticed ({share}), {counts['unviable']} did not build")
    print(f"{caught} passed, {counts['missed']} failed")
    return 0 if caught >= SHARE * total and not strict else 1
