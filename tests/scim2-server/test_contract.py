"""The contract of scim2-server, once with searches by GET and once with searches by POST."""

import os

import pytest
from bridge import ServerStorage
from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_server.testing import ScimStorageContract

from scim2_discovery import Discovery

DISCOVERY = Discovery()


@pytest.fixture(scope="session")
def scim():
    headers = {"Authorization": f"Bearer {os.environ['SCIM_TOKEN']}"}
    with Client(base_url=os.environ["SCIM_URL"], headers=headers, timeout=30, trust_env=False, transport=DISCOVERY) as http:
        scim = SyncSCIMClient(http, raise_scim_errors=True)
        scim.discover()
        yield scim


class TestByGet(ScimStorageContract):
    post = False

    @pytest.fixture
    def provider(self, scim):
        return scim.provider

    @pytest.fixture
    def storage(self, scim):
        storage = ServerStorage(scim, self.post)
        storage.clear()
        yield storage
        storage.clear()


class TestByPost(TestByGet):
    post = True
