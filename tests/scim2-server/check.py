"""Holds a SCIM base URL to scim2-server's storage contract and judges the results.

A skipped test counts as not passed: it needs an exclusion as well. How exclusions are judged is told in
../verdict.py.
"""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent))
sys.dont_write_bytecode = True

import pytest

import verdict
from verdict import Exclusion

# Fewer results mean that the contract was not collected.
LEAST_CHECKS = 180

DATE = "RFC 7644 section 3.4.2.2 does not say what co finds in a dateTime; here the text served, there nothing"
NOT_EQUAL = "RFC 7644 does not say what ne means for several values; here one that differs is enough, there all must differ"
NULL = "RFC 7644 gives null no order; refused with invalidFilter"
EXCLUDED = [
    Exclusion('[meta.created co "20"]', "AssertionError", DATE, whole=False),
    Exclusion('[emails ne "alice@work.example"]', "AssertionError", NOT_EQUAL, whole=False),
    Exclusion("[title gt null]", "The storage refuses the search", NULL, whole=False),
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


def chosen(parser):
    parser.add_argument("-k", default="", help="only tests that match, as pytest has it; then exclusions are not judged")


def main():
    options = verdict.options("scim2-server", __doc__, chosen)
    os.environ.update(SCIM_URL=options.url, SCIM_TOKEN=options.token)
    results = Results()
    quiet = ["-p", "no:cacheprovider", "-p", "no:terminal"]
    pytest.main([*quiet, "-k", options.k, f"--rootdir={HERE}", str(HERE / "test_contract.py")], plugins=[results])

    judged = verdict.Verdict(options, EXCLUDED)
    # Imported by pytest, which shares the modules.
    judged.left_out(sys.modules["test_contract"].DISCOVERY.told())
    for name, (outcome, why) in results.outcomes.items():
        judged.check(name, outcome == "passed", why if outcome != "passed" else "", outcome)
    if not options.k:
        judged.complete(LEAST_CHECKS)
    return judged.close()


if __name__ == "__main__":
    sys.exit(main())
