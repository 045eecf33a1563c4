#!/usr/bin/env python3
"""Compares what SCIM shows with what the simulated application really holds.

    SCIM_TOKEN=... tests/application-state.py SCIM_URL SIMULATOR_URL [--quiet]

--quiet looks at the state alone and is silent when it is right; it serves between two requests.

Every active user must be an active account and the other way round; every group must be there
under its name with exactly its active members; nothing may be there that SCIM does not show; and
the application must have understood and accepted every call it was sent. Accepted changes may
still be under way, so a difference is given some seconds to go. The application cannot change an
address: one user whose userName changed later is found as the one account left over. Standard
library only.
"""

import json
import os
import sys
import time
import urllib.parse
import urllib.request

PATIENCE = 30.0
GROUP_EXTENSION = "urn:ietf:params:scim:schemas:extension:opsera:2.0:Group"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url, token=None):
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with OPENER.open(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return json.load(answer)


def resources(base, kind, token):
    found = []
    while True:
        query = urllib.parse.urlencode({"startIndex": len(found) + 1, "count": 200})
        page = get(f"{base}/{kind}?{query}", token)
        found += page.get("Resources", [])
        if not page.get("Resources") or len(found) >= page["totalResults"]:
            return found


def account(user):
    """The e-mail address that the application knows a user by."""
    emails = user.get("emails", [])
    chosen = [e for e in emails if e.get("primary")] + [e for e in emails if e.get("type") == "work"] + emails
    name = user["userName"]
    return (name if "@" in name else chosen[0]["value"] if chosen else name).lower()


def differences(scim, simulator, token):
    users = resources(scim, "Users", token)
    groups = resources(scim, "Groups", token)
    state = get(f"{simulator}/_simulator/state")
    found = []

    by_id = {user["id"]: account(user) for user in users}
    active = {by_id[user["id"]] for user in users if user.get("active", True)}
    there = {user["email"].lower() for user in state["users"] if user["active"]}
    if len(active - there) == len(there - active) == 1:
        now, first = (active - there).pop(), (there - active).pop()
        active = active - {now} | {first}
        by_id = {id: first if email == now else email for id, email in by_id.items()}
    found += [f"{email}: active in SCIM, not in the application" for email in sorted(active - there)]
    found += [f"{email}: active in the application, not in SCIM" for email in sorted(there - active)]

    expected = {}
    for group in groups:
        name = group.get(GROUP_EXTENSION, {}).get("name")
        if name is None:
            found.append(f"group {group['displayName']!r}: SCIM shows no application name")
            continue
        members = {by_id.get(member["value"], member["value"]) for member in group.get("members", [])}
        expected[name] = members & active
    held = {group["name"]: {member.lower() for member in group["members"]} for group in state["groups"]}
    for name in sorted(expected.keys() | held.keys()):
        if name not in held:
            found.append(f"group {name}: in SCIM, not in the application")
        elif name not in expected:
            found.append(f"group {name}: in the application, not in SCIM")
        else:
            missing, extra = expected[name] - held[name], (held[name] & there) - expected[name]
            found += [f"group {name}: {email} is missing in the application" for email in sorted(missing)]
            found += [f"group {name}: {email} is a member only in the application" for email in sorted(extra)]
    return found, len(users), len(groups)


def bad_calls(simulator):
    found, since, count = [], 0, 0
    while True:
        calls = get(f"{simulator}/_simulator/calls?since={since}")
        if not calls:
            return found, count
        for call in calls:
            # Looking for what may not be there is no mistake.
            absent = call["method"] == "GET" and call["status"] == 404
            if call["operation"] == "unknown" or (call["outcome"] not in ("applied", "read") and not absent):
                found.append(
                    f"call {call['sequence']} {call['method']} {call['path']} ({call['operation']}): "
                    f"{call['outcome']}, status {call['status']}, body {call['body'][:300]}"
                )
        count += len(calls)
        since = calls[-1]["sequence"]


def main():
    scim, simulator = (url.rstrip("/") for url in sys.argv[1:3])
    quiet = sys.argv[3:] == ["--quiet"]
    token = os.environ["SCIM_TOKEN"]
    until = time.monotonic() + PATIENCE
    while True:
        wrong, users, groups = differences(scim, simulator, token)
        if not wrong or time.monotonic() > until:
            break
        time.sleep(0.25)
    calls, count = ([], 0) if quiet else bad_calls(simulator)
    for line in wrong + calls:
        print(f"FAILED  {line}")
    if quiet:
        return 1 if wrong else 0
    print(f"application: {users} users and {groups} groups compared, {count} calls looked at")
    print(f"{(not wrong) + (not calls)} passed, {bool(wrong) + bool(calls)} failed")
    return 1 if wrong or calls else 0


if __name__ == "__main__":
    sys.exit(main())
