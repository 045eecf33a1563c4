"""What the suites of others came to: counts, exclusions with their reasons, and the closing line.

Every check must be good. One may be left out only by an exclusion, which says why; an exclusion that applies
to nothing is a failure too, so that the list cannot rot, and so is a run of fewer checks than are known to be
there. The last line is `N passed, M failed, K skipped`; the exit status is 0 only when M is 0.
"""

import argparse
import collections
import os
import sys

LONGEST = 4000


class Exclusion:
    """A check that is left out: `fits` is asked with the name and the message of every check that is not good."""

    def __init__(self, name, words, why, whole=True):
        self.name = name
        self.words = words
        self.why = why
        self.whole = whole

    def fits(self, name, message):
        named = name == self.name if self.whole else self.name in name
        return named and self.words in message


class Verdict:
    """Judges check by check; `close` says the rest and gives the exit status."""

    def __init__(self, options, exclusions):
        self.options = options
        self.exclusions = exclusions
        self.used = set()
        self.counts = collections.Counter()
        self.checks = 0

    def check(self, name, good, message, outcome, about="", data=""):
        """`about` and `data` are shown before the name and after the message; exclusions know neither."""
        self.checks += 1
        shown = f"{about}{name}"
        if good:
            self.counts["passed"] += 1
            if self.options.v:
                print(f"passed  {shown}: {message}".removesuffix(": "))
            return
        exclusion = next((entry for entry in self.exclusions if entry.fits(name, message)), None)
        if exclusion:
            self.used.add(exclusion)
            self.skipped(f"{shown}: {exclusion.why}")
        else:
            self.failed(f"{shown} ({outcome}): {message}{data}")

    def skipped(self, line):
        self.counts["skipped"] += 1
        print(f"skipped {line}")

    def failed(self, line):
        self.counts["failed"] += 1
        print(f"FAILED  {line}".replace(self.options.token, "[redacted]")[:LONGEST])

    def left_out(self, lines):
        """What was kept from the suite altogether, or that nothing had to be."""
        for line in lines:
            self.counts["skipped" if line.startswith("skipped") else "failed"] += 1
            print(line)

    def complete(self, least, about=""):
        """After a whole run: every exclusion was needed, and there were checks enough."""
        for entry in self.exclusions:
            if entry not in self.used:
                self.failed(f"{about}{entry.name}: is excluded, but did not fail; remove the exclusion ({entry.why})")
        if self.checks < least:
            self.failed(f"{about}only {self.checks} checks ran, at least {least} are expected")
        self.used = set()
        self.checks = 0

    def close(self):
        print(f"{self.counts['passed']} passed, {self.counts['failed']} failed, {self.counts['skipped']} skipped")
        return 1 if self.counts["failed"] else 0


def options(suite, about, add=lambda parser: None):
    """URL and token of the server, from the command line or the environment."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("token", nargs="?", default=os.environ.get("SCIM_TOKEN"), help="default: $SCIM_TOKEN")
    parser.add_argument("-v", action="store_true", help="also print what passed")
    add(parser)
    given = parser.parse_args()
    if not given.token:
        print(f"{suite}: give a token, as an argument or in SCIM_TOKEN", file=sys.stderr)
        sys.exit(2)
    return given
