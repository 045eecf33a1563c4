"""A transport that leaves out of discovery what scim2-models cannot take, and tells what it left out.

scim2-client reads /ServiceProviderConfig and /ResourceTypes before everything else and stops at what it does
not know. What is left out is not judged by the suites that use this; tests/versions.rs, tests/catalog.rs and
conformance do that.
"""

import json

from httpx2 import HTTPTransport
from httpx2 import Response

ATTRIBUTES = {
    "RolesAndEntitlements": "draft-ietf-scim-roles-entitlements puts it there; scim2-models takes only what RFC 7643 and 9865 have",
    "interopProfileConformant": "draft-zollner-scim-interop-profile puts it there; scim2-models takes only what RFC 7643 and 9865 have",
}
SHARED = "told in the draft's form and in Okta's, two resource types at one endpoint; RFC 7643 section 6 does not forbid it, scim2-models takes one"


class Discovery(HTTPTransport):
    """`left_out` has a name and a reason for each thing that was left out."""

    def __init__(self):
        super().__init__()
        self.left_out = {}

    def handle_request(self, request):
        response = super().handle_request(request)
        reader = {"ServiceProviderConfig": self.config, "ResourceTypes": self.types}.get(request.url.path.split("/")[-1])
        if reader is None or request.method != "GET" or response.status_code != 200:
            return response
        body = json.loads(response.read())
        reader(body)
        headers = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
        return Response(response.status_code, headers=headers, content=json.dumps(body).encode())

    def config(self, body):
        for name, why in ATTRIBUTES.items():
            if body.pop(name, None) is not None:
                self.left_out[f"{name} of /ServiceProviderConfig"] = why

    def types(self, body):
        endpoints = set()
        kept = []
        for kind in body["Resources"]:
            if kind["endpoint"] in endpoints:
                self.left_out[f"resource type {kind['id']}"] = SHARED
            else:
                endpoints.add(kind["endpoint"])
                kept.append(kind)
        removed = len(body["Resources"]) - len(kept)
        body.update(Resources=kept, totalResults=body["totalResults"] - removed, itemsPerPage=len(kept))

    def told(self):
        """Lines for the report; nothing left out means that this file has no use any more."""
        if not self.left_out:
            return ["FAILED  discovery: nothing needs to be left out; remove tests/scim2_discovery.py"]
        return [f"skipped {name}: {why}" for name, why in self.left_out.items()]
