"""`GET /cert` in the OpenAPI document."""

from __future__ import annotations

from fencepost.openapi.parts import Json


def paths() -> Json:
    """Return the OpenAPI path items."""
    return {
        "/cert": {
            "get": {
                "operationId": "certificate",
                "summary": "Return the certificate of the gRPC port",
                "security": [],
                "responses": {
                    "200": {"description": "PEM.", "content": {"application/x-pem-file": {}}},
                    "404": {"$ref": "#/components/responses/Refused404"},
                },
            }
        }
    }
