"""Runs scim2-tester against a SCIM base URL and judges its results.

How exclusions are judged is told in ../verdict.py.
"""

import json
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent))
sys.dont_write_bytecode = True

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status
from scim2_tester import check_server

import verdict
from scim2_discovery import Discovery
from verdict import Exclusion

# Fewer results mean that discovery failed and the rest never ran.
LEAST_CHECKS = 60
GOOD = {Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE}

GROUP_EXTENSION = "urn:ietf:params:scim:schemas:extension:opsera:2.0:Group"
READ_ONLY = "all its attributes are readOnly; the check sends it empty and expects it back empty"
KEPT = "all its attributes are readOnly, so removing it is refused, as RFC 7644 section 3.5.2.2 demands"
ACTIVE = "a user is active or not, so removing active leaves it as it is: whoever reads the user must be told"
OKTA_ROLE = "urn:okta:scim:schemas:core:1.0:Role"
BOTH_FORMS = "the root lists roles too, told in the draft's form and in Okta's; scim2-models takes the second schema for an extension"
EXCLUDED = [
    Exclusion("User search_with_attributes", f"Unknown extension schemas: {OKTA_ROLE}", BOTH_FORMS),
    Exclusion("Group search_with_attributes", f"Unknown extension schemas: {OKTA_ROLE}", BOTH_FORMS),
    Exclusion("User check_remove_attribute", "did not remove attribute 'active'", ACTIVE),
    Exclusion("Group check_add_attribute", f"Attribute '{GROUP_EXTENSION}'", READ_ONLY),
    Exclusion("Group check_replace_attribute", f"Attribute '{GROUP_EXTENSION}'", READ_ONLY),
    Exclusion("Group check_remove_attribute", f"Failed to remove attribute '{GROUP_EXTENSION}'", KEPT),
]


def data(result):
    """What was found where something is wrong, on a line of its own."""
    if result.data is None:
        return ""
    try:
        return f"\n        {json.dumps(result.data, default=str)}"
    except (TypeError, ValueError):
        return f"\n        {result.data!r}"


def main():
    options = verdict.options("scim2-tester", __doc__)
    headers = {"Authorization": f"Bearer {options.token}"}
    discovery = Discovery()
    with Client(base_url=options.url, headers=headers, timeout=30, trust_env=False, transport=discovery) as http:
        # What can be assigned (Role, Entitlement) is read-only: there is nothing to create.
        results = check_server(SyncSCIMClient(http), resource_types=["User", "Group"])

    judged = verdict.Verdict(options, EXCLUDED)
    judged.left_out(discovery.told())
    for result in results:
        name = " ".join(filter(None, [result.resource_type, result.title]))
        judged.check(name, result.status in GOOD, result.reason or "", result.status.name, data=data(result))
    judged.complete(LEAST_CHECKS)
    return judged.close()


if __name__ == "__main__":
    sys.exit(main())
