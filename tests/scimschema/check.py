"""Validates what a SCIM server answers with scimschema: against its copy of RFC 7643's schemas, and against the served ones.

The served schemas must be ones it can read, too. It sends nothing itself: a user with all there is, a group
and refused requests are made here and removed again. How exclusions are judged is told in ../verdict.py.
"""

import json
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

sys.path.append(str(pathlib.Path(__file__).parent.parent))
sys.dont_write_bytecode = True

from scimschema._model.model import Model
from scimschema._model.schema_response import ScimResponse
from scimschema.core_schemas import schema as of_rfc

import verdict
from verdict import Exclusion

# Fewer results mean that something was not asked.
LEAST_CHECKS = 40
CORE = "urn:ietf:params:scim:schemas:core:2.0:"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
ITS_ERROR = "urn:scim:api:messages:2.0:Error"

EXTENSIONS = "its ResourceType takes one schema extension alone, where RFC 7643 section 6 has a list of them"
REFERENCES = "its Schema takes one word for referenceTypes, where RFC 7643 section 7 has a list"
EXCLUDED = [
    Exclusion("RFC: /ResourceTypes/", "'schemaExtensions']", EXTENSIONS, whole=False),
    Exclusion("RFC: /Schemas/", "referenceTypes) is expected to be 'type string'", REFERENCES, whole=False),
]


class Server:
    def __init__(self, options):
        self.base = options.url.rstrip("/")
        self.token = options.token

    def ask(self, method, path, body=None):
        """Status and document of an answer, good or bad."""
        request = urllib.request.Request(
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read() or b"null")


def user(name):
    return {
        "schemas": [CORE + "User", ENTERPRISE],
        "externalId": f"ext-{name}",
        "userName": f"{name}@example.com",
        "name": {"formatted": "Ada B. Lovelace", "familyName": "Lovelace", "givenName": "Ada", "middleName": "B."},
        "displayName": "Ada",
        "nickName": "A",
        "profileUrl": "https://example.com/ada",
        "title": "Countess",
        "userType": "Employee",
        "preferredLanguage": "en",
        "locale": "en-GB",
        "timezone": "Europe/London",
        "active": True,
        "emails": [
            {"value": f"{name}@example.com", "type": "work", "primary": True},
            {"value": f"{name}@home.example", "type": "home"},
        ],
        "phoneNumbers": [{"value": "tel:+44-20-7946-0000", "type": "work"}],
        "ims": [{"value": "ada", "type": "xmpp"}],
        "photos": [{"value": "https://example.com/ada.png", "type": "photo"}],
        "addresses": [{"streetAddress": "1 Square", "locality": "London", "country": "GB", "type": "work"}],
        "x509Certificates": [{"value": "MIIBIjANBgkq"}],
        ENTERPRISE: {"employeeNumber": "7", "costCenter": "4130", "organization": "O", "department": "D"},
    }


def answers(server):
    """What the server says, by a name each: resources, lists' resources, discovery, errors."""
    name = f"scimschema-{uuid.uuid4().hex[:12]}"
    status, ada = server.ask("POST", "/Users", user(name))
    assert status == 201, ada
    status, team = server.ask("POST", "/Groups", {"schemas": [CORE + "Group"], "displayName": name, "members": [{"value": ada["id"]}]})
    assert status == 201, team
    try:
        yield "user as created", ada
        yield "group as created", team
        yield "user with its groups", server.ask("GET", f"/Users/{ada['id']}")[1]
        yield "group with its members", server.ask("GET", f"/Groups/{team['id']}")[1]
        sought = urllib.parse.quote(f'userName eq "{ada["userName"]}"')
        yield "user in a list", server.ask("GET", f"/Users?filter={sought}")[1]["Resources"][0]
        yield "unknown id", server.ask("GET", f"/Users/{uuid.uuid4()}")[1]
        yield "name taken", server.ask("POST", "/Users", user(name))[1]
        yield "bad filter", server.ask("GET", "/Users?filter=nonsense")[1]
        yield "bad body", server.ask("POST", "/Users", [])[1]
    finally:
        server.ask("DELETE", f"/Groups/{team['id']}")
        server.ask("DELETE", f"/Users/{ada['id']}")
    yield "ServiceProviderConfig", server.ask("GET", "/ServiceProviderConfig")[1]
    for path in ("/ResourceTypes", "/Schemas"):
        for resource in server.ask("GET", path)[1]["Resources"]:
            yield f"{path}/{resource['id']}", resource


def by(definitions, served, answer):
    """Validates an answer by these definitions; what they lack (an extension of ours) by the served ones.

    It takes the enterprise extension for a core schema and has a name of its own for the schema of errors.
    """
    known = {**served, **definitions, ERROR: of_rfc[ITS_ERROR]}
    extensions = {name: schema for name, schema in known.items() if ":extension:" in name}
    core = {name: schema for name, schema in known.items() if name not in extensions}
    ScimResponse(answer, core, extensions).validate()


def main():
    options = verdict.options("scimschema", __doc__)
    judged = verdict.Verdict(options, EXCLUDED)

    def check(name, action):
        try:
            action()
        except (AssertionError, KeyError, TypeError, ValueError, AttributeError) as wrong:
            judged.check(name, False, f"{type(wrong).__name__}: {wrong}", "refused")
        else:
            judged.check(name, True, "", "good")

    server = Server(options)
    served = {}
    for schema in server.ask("GET", "/Schemas")[1]["Resources"]:
        definition = {key: value for key, value in schema.items() if key != "schemas"}
        check(f"read {schema['id']}", lambda: served.update({schema["id"]: Model(definition)}))
    for name, answer in answers(server):
        check(f"RFC: {name}", lambda: by(of_rfc, served, answer))
        check(f"served: {name}", lambda: by(served, served, answer))
    # A validator that takes everything would prove nothing.
    nonsense = {"schemas": [CORE + "User"], "id": "1", "userName": 7, "emails": "none"}
    for kind, definitions in (("RFC", of_rfc), ("served", served)):
        try:
            by(definitions, served, nonsense)
        except AssertionError:
            judged.check(f"{kind}: nonsense is refused", True, "", "good")
        else:
            judged.check(f"{kind}: nonsense is refused", False, "it was taken", "wrong")
    judged.complete(LEAST_CHECKS)
    return judged.close()


if __name__ == "__main__":
    sys.exit(main())
