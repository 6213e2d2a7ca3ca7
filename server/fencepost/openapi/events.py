"""`POST /events` in the OpenAPI document; the handler is in routes/events.py."""

from __future__ import annotations

from fencepost.openapi.parts import JSON_OR_YAML, Json, content, ref, refused

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_REFUSALS = (400, 401, 403, 406, 408, 409, 413, 415, 431, 500, 503)


def paths() -> Json:
    """Return the path item of `POST /events`."""
    resource = {"type": "object"}
    several = {"type": "array", "items": resource, "minItems": 1}
    bodies = {
        **content({"oneOf": [resource, several]}, JSON_OR_YAML),
        _STRUCTURED: {"schema": ref("CloudEvent")},
        _BATCH: {"schema": {"type": "array", "items": ref("CloudEvent"), "minItems": 1}},
    }
    failed = {"type": "object", "properties": {"error": ref("Fault")}, "required": ["error"]}
    answers = {"type": "array", "items": {"anyOf": [ref("PublishResult"), failed]}}
    return {
        "/events": {
            "post": {
                "operationId": "publishEvent",
                "summary": "Publish an event, or an array of events",
                "description": (
                    "A CloudEvent, a resource, or an array of either. With `ce-…` headers the body is the data of a "
                    "CloudEvent, of any type."
                ),
                "requestBody": {"required": True, "content": bodies},
                "responses": {
                    "200": {
                        "description": "The result of the event; for an array, the result of each, in order.",
                        "content": content({"anyOf": [ref("PublishResult"), answers]}, JSON_OR_YAML),
                    },
                    **refused(*_REFUSALS),
                },
            }
        }
    }


def schemas() -> Json:
    """Return the schemas of events."""
    text = {"type": "string", "minLength": 1, "maxLength": 1000}
    members = {
        "specversion": {"const": "1.0"},
        "id": {**text, "maxLength": 200},
        "source": text,
        "type": text,
        "subject": text,
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": text,
        "dataschema": text,
        "data": {"description": "anything"},
        "data_base64": {"type": "string", "contentEncoding": "base64"},
    }
    return {
        "CloudEvent": {
            "description": "A CloudEvent 1.0; further members are its extensions.",
            "type": "object",
            "properties": members,
            "required": ["specversion", "id", "source", "type"],
        }
    }
