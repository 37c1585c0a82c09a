"""What notebooks find as `request.user`."""

from __future__ import annotations

import json
from uuid import UUID

from workbench.people.principal import Principal

ID = UUID("0198d3a0-0000-7000-8000-000000000001")


def test_a_principal_as_notebooks_see_it_is_plain_json() -> None:
    jane = Principal(user_id=ID, email="jane@acme.com", role="analyst", tenant_id="acme")
    assert json.loads(json.dumps(jane.as_user())) == {
        "user_id": str(ID),
        "email": "jane@acme.com",
        "role": "analyst",
        "tenant_id": "acme",
    }
