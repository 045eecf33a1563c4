"""A SCIM server as the storage that scim2-server's contract is about.

Every call of the contract becomes one request through scim2-client, which checks status, content
type and each attribute of the answer against the models built from the server's own /Schemas. What
the server refuses is raised as the exception that the contract names.
"""

from scim2_server.storage import ScimStorage
from scim2_server.storage import SearchPage


class ServerStorage(ScimStorage):
    """Reads by GET; with `post`, searches by POST to `/.search`."""

    def __init__(self, scim, post):
        self.scim = scim
        self.post = post
        pagination = scim.provider.config.pagination
        self.supports_cursors = bool(pagination and pagination.cursor)

    def model(self, resource_type):
        return self.scim.provider.model_for(resource_type)

    def get(self, resource_type, resource_id, *, response_parameters=None):
        return without_location(self.scim.query(resource_type, resource_id, response_parameters))

    def search(self, resource_types, search_request, *, position=None):
        if position is not None:
            search_request = search_request.model_copy(update={"cursor": position})
        target = resource_types[0] if len(resource_types) == 1 else None
        if target is None:
            # At the root there is also what can be assigned (RFC 7644 section 3.4.2.1).
            wanted = " or ".join(f'meta.resourceType eq "{kind.name}"' for kind in resource_types)
            asked = f"({wanted}) and ({search_request.filter})" if search_request.filter else wanted
            search_request = search_request.model_copy(update={"filter": asked})
        if self.post:
            answer = self.scim.search(target, search_request)
        else:
            answer = self.scim.query(target, query_parameters=search_request)
        found = [without_location(resource) for resource in answer.resources or []]
        return SearchPage(answer.total_results, found, answer.next_cursor, answer.previous_cursor)

    def create(self, resource_type, resource):
        return without_location(self.scim.create(resource_type, resource))

    def update(self, resource_type, resource, *, expected_version=None):
        # Without its version, because scim2-client would send that as If-Match.
        resource = resource.model_copy(deep=True)
        resource.meta = None
        return without_location(self.scim.replace(resource_type, resource, **condition(expected_version)))

    def delete(self, resource_type, resource_id, *, expected_version=None):
        self.scim.delete(resource_type, resource_id, **condition(expected_version))

    def clear(self):
        # What can be assigned (Role, Entitlement) is read-only.
        for resource_type in (kind for kind in self.scim.provider.resource_types if kind.name in ("User", "Group")):
            for resource in self.scim.query(resource_type).resources or []:
                self.scim.delete(resource_type, resource.id)


def condition(version):
    return {"headers": {"If-Match": version}} if version else {}


def without_location(resource):
    """The contract leaves the location to the server in front of a storage; here it is checked and taken out."""
    if resource.meta is not None:
        assert resource.meta.location is None or str(resource.meta.location).endswith(f"/{resource.id}")
        resource.meta.location = None
    return resource
