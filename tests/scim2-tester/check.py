"""Runs scim2-tester against a SCIM base URL and judges its results.

Every check must succeed. A check may be left out only by a line in EXCLUDED, which says why;
an exclusion that no longer applies is a failure too, so that the list cannot rot.
The last line is `N passed, M failed, K skipped`; the exit status is 0 only when M is 0.
"""

import argparse
import collections
import json
import os
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent))
sys.dont_write_bytecode = True

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status
from scim2_tester import check_server

from scim2_discovery import Discovery

# Fewer results mean that discovery failed and the rest never ran.
LEAST_CHECKS = 60
GOOD = {Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE}

# (title of the check, resource type or None, words in its reason, why it is left out)
GROUP_EXTENSION = "urn:ietf:params:scim:schemas:extension:opsera:2.0:Group"
READ_ONLY = "all its attributes are readOnly; the check sends it empty and expects it back empty"
KEPT = "all its attributes are readOnly, so removing it is refused, as RFC 7644 section 3.5.2.2 demands"
ACTIVE = "a user is active or not, so removing active leaves it as it is: whoever reads the user must be told"
EXCLUDED = [
    ("check_remove_attribute", "User", "did not remove attribute 'active'", ACTIVE),
    ("check_add_attribute", "Group", f"Attribute '{GROUP_EXTENSION}'", READ_ONLY),
    ("check_replace_attribute", "Group", f"Attribute '{GROUP_EXTENSION}'", READ_ONLY),
    ("check_remove_attribute", "Group", f"Failed to remove attribute '{GROUP_EXTENSION}'", KEPT),
]


def excluded(result):
    for entry in EXCLUDED:
        title, resource_type, words, _ = entry
        if result.title == title and result.resource_type == resource_type and words in (result.reason or ""):
            return entry
    return None


def show(data, token):
    try:
        text = json.dumps(data, default=str)
    except (TypeError, ValueError):
        text = repr(data)
    return text.replace(token, "[redacted]")[:2000]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("url")
    options.add_argument("token", nargs="?", default=os.environ.get("SCIM_TOKEN"), help="default: $SCIM_TOKEN")
    options.add_argument("-v", action="store_true", help="also print what passed")
    options = options.parse_args()
    if not options.token:
        print("scim2-tester: give a token, as an argument or in SCIM_TOKEN", file=sys.stderr)
        return 2

    headers = {"Authorization": f"Bearer {options.token}"}
    discovery = Discovery()
    with Client(base_url=options.url, headers=headers, timeout=30, trust_env=False, transport=discovery) as http:
        # What can be assigned (Role, Entitlement) is read-only: there is nothing to create.
        results = check_server(SyncSCIMClient(http), resource_types=["User", "Group"])

    counts = collections.Counter()
    used = set()
    for line in discovery.told():
        counts["skipped" if line.startswith("skipped") else "failed"] += 1
        print(line)
    for result in results:
        name = " ".join(filter(None, [result.resource_type, result.title]))
        entry = excluded(result)
        if result.status in GOOD:
            counts["passed"] += 1
            if options.v:
                print(f"passed  {name}: {result.reason or ''}")
        elif entry:
            counts["skipped"] += 1
            used.add(entry)
            print(f"skipped {name}: {entry[3]}")
        else:
            counts["failed"] += 1
            print(f"FAILED  {name} ({result.status.name}): {result.reason}")
            if result.data is not None:
                print(f"        {show(result.data, options.token)}")
    for entry in EXCLUDED:
        if entry not in used:
            counts["failed"] += 1
            print(f"FAILED  {entry[0]}: is excluded, but did not fail; remove the exclusion ({entry[3]})")
    if len(results) < LEAST_CHECKS:
        counts["failed"] += 1
        print(f"FAILED  only {len(results)} checks ran, at least {LEAST_CHECKS} are expected")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
