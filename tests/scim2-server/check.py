"""Holds a SCIM base URL to scim2-server's storage contract and judges the results.

Every test must pass. A test may be left out only by a line in EXCLUDED, which says why; an exclusion
that no longer applies is a failure too, so that the list cannot rot. A skipped test counts as not
passed: it needs a line as well.
The last line is `N passed, M failed, K skipped`; the exit status is 0 only when M is 0.
"""

import argparse
import collections
import os
import pathlib
import sys

import pytest

# Fewer results mean that the contract was not collected.
LEAST_CHECKS = 180

# (part of the test's name, words in its reason, why it is left out)
DATE = "RFC 7644 section 3.4.2.2 does not say what co finds in a dateTime; here the text served, there nothing"
NOT_EQUAL = "RFC 7644 does not say what ne means for several values; here one that differs is enough, there all must differ"
EXCLUDED = [
    ('[meta.created co "20"]', "AssertionError", DATE),
    ('[emails ne "alice@work.example"]', "AssertionError", NOT_EQUAL),
    ("[title gt null]", "The storage refuses the search", "RFC 7644 gives null no order; refused with invalidFilter"),
]


class Results:
    """What each test came to; the first phase that is not good decides."""

    def __init__(self):
        self.outcomes = {}

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("::", 1)[-1]
        if report.when == "call" or report.outcome != "passed":
            self.outcomes.setdefault(name, (report.outcome, reason(report)))


def reason(report):
    if report.outcome == "skipped":
        return str(report.longrepr[2])
    return report.longreprtext


def excluded(name, why):
    for entry in EXCLUDED:
        part, words, _ = entry
        if part in name and words in why:
            return entry
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("url")
    options.add_argument("token", nargs="?", default=os.environ.get("SCIM_TOKEN"), help="default: $SCIM_TOKEN")
    options.add_argument("-v", action="store_true", help="also print what passed")
    options.add_argument("-k", default="", help="only tests that match, as pytest has it; then exclusions are not judged")
    options = options.parse_args()
    if not options.token:
        print("scim2-server: give a token, as an argument or in SCIM_TOKEN", file=sys.stderr)
        return 2

    os.environ.update(SCIM_URL=options.url, SCIM_TOKEN=options.token)
    here = pathlib.Path(__file__).parent
    sys.path.append(str(here.parent))
    results = Results()
    quiet = ["-p", "no:cacheprovider", "-p", "no:terminal"]
    sys.dont_write_bytecode = True
    pytest.main([*quiet, "-k", options.k, f"--rootdir={here}", str(here / "test_contract.py")], plugins=[results])
    return judge(results.outcomes, options)


def judge(outcomes, options):
    counts = collections.Counter()
    used = set()
    # Imported by pytest, which shares the modules.
    for line in sys.modules["test_contract"].DISCOVERY.told():
        counts["skipped" if line.startswith("skipped") else "failed"] += 1
        print(line)
    for name, (outcome, why) in outcomes.items():
        entry = excluded(name, why)
        if outcome == "passed":
            counts["passed"] += 1
            if options.v:
                print(f"passed  {name}")
        elif entry:
            counts["skipped"] += 1
            used.add(entry)
            print(f"skipped {name}: {entry[2]}")
        else:
            counts["failed"] += 1
            print(f"FAILED  {name} ({outcome}): {why.replace(options.token, '[redacted]')}")
    if not options.k:
        for entry in EXCLUDED:
            if entry not in used:
                counts["failed"] += 1
                print(f"FAILED  {entry[0]}: is excluded, but did not fail; remove the exclusion ({entry[2]})")
        if len(outcomes) < LEAST_CHECKS:
            counts["failed"] += 1
            print(f"FAILED  only {len(outcomes)} checks ran, at least {LEAST_CHECKS} are expected")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
