"""The page of the API has every address and every shape, and loads nothing from elsewhere."""

import re

from django.test import Client

from opsproject.api import api


def test_every_operation_and_every_shape_is_on_the_page(client: Client) -> None:
    page = client.get("/api/docs").content.decode()
    document = api.get_openapi_schema()
    for path, methods in document["paths"].items():
        assert path in page
        for method, told in methods.items():
            assert f'id="{told["operationId"]}"' in page
            assert f">{method.upper()}</strong>" in page
    for name, shape in document["components"]["schemas"].items():
        assert f'id="shape-{name}"' in page or "enum" in shape
    assert "Idempotency-Key" in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
