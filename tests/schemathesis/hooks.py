"""What a schema cannot say of the strings it names by format: a filter, a path, the id of a user.

Users are made once, so that members can be named that exist.
"""

import json
import os
import urllib.request
import uuid

import schemathesis
from hypothesis import strategies as st

# Attributes that both users and groups have, since one parameter serves both.
TEXT = ["displayName", "DISPLAYNAME", "externalId", "id", "meta.resourceType"]
DATE = ["meta.created", "meta.lastModified"]
MOST_MEMBERS = 3


def user_ids():
    ids = []
    for number in range(MOST_MEMBERS):
        body = json.dumps({"userName": f"member{number}@example.com"}).encode()
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


def filters():
    word = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12).map(json.dumps)
    spelling = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ"])
    text = st.builds("{} {} {}".format, st.sampled_from(TEXT), spelling, word)
    order = st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"])
    instant = st.datetimes().map(lambda t: json.dumps(t.isoformat(timespec="milliseconds") + "Z"))
    date = st.builds("{} {} {}".format, st.sampled_from(DATE), order, instant)
    present = st.sampled_from(TEXT + DATE).map("{} pr".format)
    joined = st.sampled_from(["{} and {}", "{} or {}", "({}) and not ({})", "({} or {})"])
    return st.recursive(
        text | date | present,
        lambda inner: st.builds(lambda form, a, b: form.format(a, b), joined, inner, inner),
        max_leaves=5,
    )


schemathesis.openapi.format("scim-filter", filters())
schemathesis.openapi.format(
    "scim-path",
    st.sampled_from(["displayName", "externalId", "members", "name.givenName", 'emails[type eq "work"].value', "active"]),
)
MEMBERS = user_ids()
schemathesis.openapi.format("scim-user-id", st.sampled_from(MEMBERS))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Whoever is to be a member stays: a DELETE of one goes to an id that nobody has."""
    if case.method.upper() == "DELETE" and case.path_parameters.get("id") in MEMBERS:
        case.path_parameters["id"] = str(uuid.uuid4())
