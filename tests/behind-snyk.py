#!/usr/bin/env python3
"""What the recorded exchanges ask of Snyk, told from the exchanges alone.

    tests/behind-snyk.py company                        groups with nobody, for a company file
    tests/behind-snyk.py seed URL PROFILE RUN           gives them and everybody to the simulated Snyk
    tests/behind-snyk.py refusals TABLE                 a pattern of the reasons in the table that
                                                        `drawbridge check` prints
    tests/behind-snyk.py reasons TABLE REPORT           whether what was refused carries the reason of
                                                        its own row; the report is conformance's --json
    tests/behind-snyk.py compare PROFILE RUN URL CASE   the memberships that the simulated Snyk has
                                                        against those that were asked for up to CASE

Everybody whom an exchange creates has signed in to Snyk through its SSO connection. Groups
are neither made nor deleted there, so each one that an exchange makes and goes on using is one of
GROUPS, the first one first, and stays. Standard library only.
"""

import json
import pathlib
import re
import sys
import time
import urllib.request

CASES = pathlib.Path(__file__).resolve().parent.parent / "conformance" / "cases"
# Snyk Group and role; nobody has one of them at first.
GROUPS = ["Example/group_viewer", "Labs/group_viewer"]
ADMINISTRATOR = "root@example.com"
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
PATIENCE = 10.0
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def cases(profile):
    return [json.loads(path.read_text()) for path in sorted((CASES / profile).glob("*.json"))]


class Asked:
    """An identity provider's own idea of who is where, kept by what it sends."""

    def __init__(self, profile, run):
        self.variables = json.loads((CASES / "variables.json").read_text())[profile] | {"run": run}
        self.emails, self.active, self.groups, self.names = {}, set(), {}, {}

    def text(self, text):
        while PLACEHOLDER.search(text):
            text = PLACEHOLDER.sub(lambda found: str(self.variables[found[1]]), text)
        return text

    def filled(self, value):
        if isinstance(value, dict) and set(value) == {"$each", "item"}:
            filled = []
            for index, item in enumerate(self.variables[value["$each"]]):
                self.variables |= {"item": item, "index": index}
                filled.append(self.filled(value["item"]))
            return filled
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def play(self, case):
        request, repeat = case["request"], case.get("repeat", {"n": 1, "as": "i"})
        if request["method"] == "GET" or min(case["expect"]["status"]) >= 400:
            return
        for turn in range(1, repeat["n"] + 1):
            self.variables[repeat["as"]] = turn
            body = self.filled(request.get("body") or {})
            kind, _, id = self.text(request["path"]).strip("/").partition("/")
            if request["method"] == "POST":
                self.make(case, kind, body)
            elif kind == "Users" and id in self.emails:
                self.change_user(request["method"], id, body)
            elif kind == "Groups" and id in self.groups and request["method"] in ("PATCH", "PUT"):
                self.change_group(request["method"], self.groups[id], body)

    def make(self, case, kind, body):
        """The id of what is made is that of the case and turn which made it."""
        saves = [name for name, place in case.get("save", {}).items() if place == "id"]
        id = f"{case['name']}-{len(self.emails)}"
        if kind == "Users":
            self.emails[id] = (body.get("emails") or [{"value": body["userName"]}])[0]["value"].lower()
            if truth(body.get("active", True)):
                self.active.add(id)
        elif kind == "Groups" and saves and len(self.groups) < len(GROUPS):
            self.names[id] = GROUPS[len(self.groups)]
            self.groups[id] = set()
        for name in saves:
            if name.endswith("[]"):
                self.variables.setdefault(name[:-2], []).append(id)
            else:
                self.variables[name] = id

    def change_user(self, method, id, body):
        said = [body.get("active")] if method == "PUT" else []
        for operation in body.get("Operations", []):
            value = operation.get("value")
            if (operation.get("path") or "").lower() == "active":
                said.append(value)
            elif not operation.get("path") and isinstance(value, dict):
                said.append(value.get("active"))
        for active in (it for it in said if it is not None):
            (self.active.add if truth(active) else self.active.discard)(id)
        if method == "DELETE":
            self.active.discard(id)

    @staticmethod
    def change_group(method, members, body):
        if method == "PUT":
            members.clear()
            members.update(ids(body.get("members")))
        for operation in body.get("Operations", []):
            verb, path, value = operation["op"].lower(), operation.get("path"), operation.get("value")
            if not path and isinstance(value, dict) and "members" in value:
                path, value = "members", value["members"]
            one = re.fullmatch(r'members\[value eq "(.*)"\]', path or "")
            if one and verb == "remove":
                members.discard(one[1])
            elif path == "members" and verb == "remove" and value is None:
                members.clear()
            elif path == "members" and verb == "remove":
                members.difference_update(ids(value))
            elif path == "members":
                if verb == "replace":
                    members.clear()
                members.update(ids(value))

    def memberships(self):
        """Who must have which role in Snyk; a role that nobody has is not shown there."""
        roles = {f"{name.split('/')[0]}/group_admin": {ADMINISTRATOR} for name in GROUPS}
        for id, members in self.groups.items():
            roles[self.names[id]] = {self.emails[member] for member in members & self.active}
        return {name: members for name, members in roles.items() if members}


def ids(members):
    members = members if isinstance(members, list) else [members] if members else []
    return {member["value"] if isinstance(member, dict) else member for member in members}


def truth(value):
    return value if isinstance(value, bool) else str(value).lower() == "true"


def of_people(emails):
    groups = [{"name": name.split("/")[0], "type": "group_admin", "members": emails[:1]} for name in GROUPS]
    return json.dumps({"users": [{"email": email} for email in emails], "groups": groups})


def company():
    print(of_people([]))


def seed(url, profile, run):
    asked = Asked(profile, run)
    for case in cases(profile):
        asked.play(case)
    everybody = of_people([ADMINISTRATOR] + sorted(set(asked.emails.values()))).encode()
    headers = {"Content-Type": "application/json"}
    OPENER.open(urllib.request.Request(f"{url}/_simulator/seed", everybody, headers), timeout=30).close()


def rows(file):
    """What cannot be done, and why."""
    table = pathlib.Path(file).read_text().partition("what Snyk can do")[2]
    # A long row goes on in lines that are further in.
    table = re.sub(r"\n {4,}", " ", table)
    found = dict(re.findall(r"(?m)^  no +(.+?) \((?:documented|assumed)\): (.+)$", table))
    if not found:
        sys.exit(f"there is no table of what Snyk can do in {file}")
    return found


def refusals(file):
    print("|".join(re.escape(reason) for reason in sorted(set(rows(file).values()))))


def reasons(table, report):
    why, said, wrong = rows(table), set(), 0
    for case in (case for profile in json.loads(pathlib.Path(report).read_text())["profiles"] for case in profile["cases"]):
        told = case.get("reason", "").partition("the application cannot do it: ")[2]
        if not told:
            continue
        method, path = case["request"].split()
        one = path.startswith("/Groups/")
        act = {
            "POST": "create a group",
            "DELETE": "delete a group",
        }.get(method, "rename a group" if one else "rename a user")
        said.add(act)
        if why[act] not in told:
            wrong += 1
            print(f"FAILED  {case['name']}: not the reason why Snyk cannot {act}: {told}")
    print(f"refused with the reason of its row: {', '.join(sorted(said))}")
    print(f"{int(not wrong)} passed, {wrong} failed")
    sys.exit(bool(wrong or not said))


def compare(profile, run, url, until):
    asked = Asked(profile, run)
    for case in cases(profile):
        asked.play(case)
        if case["name"] == until:
            break
    expected, limit = asked.memberships(), time.monotonic() + PATIENCE
    while True:
        with OPENER.open(f"{url}/_simulator/state", timeout=30) as answer:
            state = json.load(answer)
        found = {group["name"]: set(group["members"]) for group in state["groups"]}
        if found == expected or time.monotonic() > limit:
            break
        time.sleep(0.1)
    for name in sorted(expected.keys() | found.keys()):
        missing = expected.get(name, set()) - found.get(name, set())
        extra = found.get(name, set()) - expected.get(name, set())
        for what, emails in (("is missing in", missing), ("was not asked for in", extra)):
            if emails:
                print(f"FAILED  {len(emails)} {what} {name}: {', '.join(sorted(emails)[:5])}")
    told = ", ".join(f"{name} {len(members)}" for name, members in sorted(expected.items()))
    print(f"asked for in Snyk: {told}")
    print(f"{int(found == expected)} passed, {int(found != expected)} failed")
    sys.exit(found != expected)


if __name__ == "__main__":
    commands = {"company": company, "seed": seed, "refusals": refusals, "reasons": reasons, "compare": compare}
    commands[sys.argv[1]](*sys.argv[2:])
