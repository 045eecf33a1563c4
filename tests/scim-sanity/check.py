"""Runs scim-sanity's probe against a SCIM base URL, strictly, and judges its results.

The probe runs once as it is and once as its Entra profile, which sends attributes that no RFC
knows. A warning counts as a failure here. How exclusions are judged is told in ../verdict.py.
"""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent))
sys.dont_write_bytecode = True

from scim_sanity.probe.runner import run_probe_api

import verdict
from verdict import Exclusion

# Fewer results mean that the probe stopped early.
LEAST_CHECKS = 30
PROFILES = {"plain": {}, "entra": {"profile": "entra", "user_domain": "example.com"}}

DRAFT = "a resource type of an expired draft (draft-abbey-scim-agent-extension), neither served nor advertised"
EMPTY = "a Group may have many members, so PATCH answers 204, as RFC 7644 section 3.5.2 allows; the probe wants 200"
UNKNOWN = "the probe adds a member that does not exist; what cannot be done is refused, never answered with success"
EXCLUDED = [
    Exclusion("Agent CRUD Lifecycle", "not supported by server", DRAFT),
    Exclusion("AgenticApplication CRUD Lifecycle", "not supported by server", DRAFT),
    Exclusion("Agent Rapid Lifecycle", "not supported or", DRAFT),
    Exclusion("PATCH /Groups/{id}", "Expected HTTP 200, got 204 (RFC 7644 §3.3); Response body is empty", EMPTY),
    Exclusion("PATCH /Groups/{id} remove members", "Expected 200, got 204", EMPTY),
    Exclusion("PATCH /Groups/{id} add member", "Expected 200, got 400", UNKNOWN),
]


def main():
    options = verdict.options("scim-sanity", __doc__)
    judged = verdict.Verdict(options, EXCLUDED)
    for profile, settings in PROFILES.items():
        report = run_probe_api(options.url, token=options.token, strict=True, **settings)
        for result in report["results"]:
            good = result["status"] == "pass"
            judged.check(result["name"], good, result.get("message") or "", result["status"], about=f"{profile}: ")
        judged.complete(LEAST_CHECKS, about=f"{profile}: ")
    return judged.close()


if __name__ == "__main__":
    sys.exit(main())
