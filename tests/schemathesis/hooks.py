"""What a schema cannot say: strings named by format, and parts of a request that must fit each other.

Requests that keep to the document are made to fit: a cursor stands without startIndex, a bulkId is
given once, every second PATCH and bulk operation has a value that its path takes. Those that break
the document are left as they are. Users are made once, so that members can be named that exist;
nothing deletes them.
"""

import json
import os
import re
import urllib.request
import uuid

import schemathesis
from hypothesis import strategies as st

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
# Attributes that both users and groups have, since one parameter serves both.
TEXT = ["displayName", "DISPLAYNAME", "externalId", "id", "meta.resourceType"]
DATE = ["meta.created", "meta.lastModified"]
MOST_MEMBERS = 3


def user_ids():
    ids = []
    for number in range(MOST_MEMBERS):
        body = json.dumps({"schemas": [USER], "userName": f"{uuid.uuid4()}@example.com"}).encode()
        request = urllib.request.Request(
            os.environ["SCIM_URL"] + "/Users",
            data=body,
            headers={
                "Authorization": "Bearer " + os.environ["SCIM_TOKEN"],
                "Content-Type": "application/scim+json",
            },
        )
        with urllib.request.urlopen(request) as answer:
            ids.append(json.load(answer)["id"])
    return ids


MEMBERS = user_ids()


def filters(text, date):
    word = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12).map(json.dumps)
    spelling = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ"])
    texts = st.builds("{} {} {}".format, st.sampled_from(text), spelling, word)
    order = st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"])
    instant = st.datetimes().map(lambda t: json.dumps(t.isoformat(timespec="milliseconds") + "Z"))
    dates = st.builds("{} {} {}".format, st.sampled_from(date), order, instant)
    present = st.sampled_from(text + date).map("{} pr".format)
    joined = st.sampled_from(["{} and {}", "{} or {}", "({}) and not ({})", "({} or {})"])
    return st.recursive(
        texts | dates | present,
        lambda inner: st.builds(lambda form, a, b: form.format(a, b), joined, inner, inner),
        max_leaves=5,
    )


# What a path of PATCH takes, so that something is changed and not only refused.
FITTING = {
    "displayName": "Name {}",
    "externalId": "external-{}",
    "members": [{"value": MEMBERS[0]}],
    "name.givenName": "Given {}",
    'emails[type eq "work"].value': "work-{}@example.com",
    "active": True,
}

schemathesis.openapi.format("scim-filter", filters(TEXT, DATE))
schemathesis.openapi.format("scim-attribute", st.sampled_from([*TEXT, *DATE]))
schemathesis.openapi.format("scim-attributes", st.lists(st.sampled_from([*TEXT, *DATE]), max_size=3).map(",".join))
# The first page; a later one's cursor belongs to a query that was made before.
schemathesis.openapi.format("scim-cursor", st.just(""))
schemathesis.openapi.format("scim-path", st.sampled_from(list(FITTING)))
# No control characters and none that nobody sees (RFC 8265).
schemathesis.openapi.format("scim-user-name", st.text("abcXYZ019.@-_ÀéßΣжあ", min_size=1, max_size=60))
schemathesis.openapi.format("scim-user-id", st.sampled_from(MEMBERS))


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.method.upper() == "DELETE" and case.path_parameters.get("id") in MEMBERS:
        case.path_parameters["id"] = str(uuid.uuid4())
    operations = bulk_operations(case)
    for operation in operations:
        spare_members(operation)
    if not is_valid(case):
        return
    page_one_way(case.query)
    if "/Roles" in case.path or "/Entitlements" in case.path:
        name_what_is_there(case.query)
        name_what_is_there(case.body)
    if isinstance(case.body, dict) and "/Groups" in case.path:
        name_group(case.body)
    for number, operation in enumerate(operations):
        fit_bulk(number, operation)
    if case.method.upper() == "PATCH" and isinstance(case.body, dict):
        fit_patch(case.body)


def is_valid(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def page_one_way(query):
    if not query or "cursor" not in query:
        return
    query.pop("startIndex", None)
    if "count" in query and int(query["count"]) < 0:
        query["count"] = 0


def name_what_is_there(asked):
    """Roles and entitlements have no externalId."""
    if not isinstance(asked, dict):
        return
    for name in ["filter", "sortBy", "attributes", "excludedAttributes"]:
        value = asked.get(name)
        if isinstance(value, str):
            asked[name] = value.replace("externalId", "displayName")
        elif isinstance(value, list):
            asked[name] = ["displayName" if part == "externalId" else part for part in value]


def name_group(body):
    """The application makes a name of its own of displayName, for which there must be a letter."""
    name = body.get("displayName")
    if isinstance(name, str) and not re.search("[A-Za-z]", name):
        body["displayName"] = "g" + name


def bulk_operations(case):
    if not case.path.endswith("/Bulk") or not isinstance(case.body, dict):
        return []
    operations = case.body.get("Operations")
    return [o for o in operations if isinstance(o, dict)] if isinstance(operations, list) else []


def spare_members(operation):
    """Whoever is to be a member stays, however a DELETE spells it."""
    if isinstance(operation.get("path"), str) and any(member in operation["path"] for member in MEMBERS):
        operation["path"] = "/Users/" + str(uuid.uuid4())


def fit_bulk(number, operation):
    if isinstance(operation.get("bulkId"), str):
        operation["bulkId"] = f"bulk{number}"
    if len(json.dumps(operation)) % 2:
        return
    name = f"{uuid.uuid4()}@example.com"
    user = {"schemas": [USER], "userName": name, "name": {"familyName": "Bulk"}}
    group = {"schemas": [GROUP], "displayName": name, "members": [{"value": MEMBERS[number % MOST_MEMBERS]}]}
    active = [{"op": "replace", "path": "displayName", "value": name}]
    choices = [
        {"method": "POST", "path": "/Users", "bulkId": f"bulk{number}", "data": user},
        {"method": "POST", "path": "/Groups", "bulkId": f"bulk{number}", "data": group},
        {"method": "PATCH", "path": "/Users/" + MEMBERS[1], "data": {"schemas": [PATCH_OP], "Operations": active}},
        {"method": "DELETE", "path": "/Groups/" + str(uuid.uuid4())},
    ]
    operation.clear()
    operation.update(choices[number % len(choices)])


def fit_patch(body):
    operations = body.get("Operations")
    if not isinstance(operations, list) or len(json.dumps(body)) % 2:
        return
    for number, operation in enumerate(operations):
        value = FITTING.get(operation.get("path"))
        if value is not None and "value" in operation:
            operation["value"] = value.format(number) if isinstance(value, str) else value
