"""The document, and the ingest endpoint as it tells it: schemas, examples, and what every status means.

The examples are sent to the application by a test, so what stands here works.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI

from api.embeds_desk import Embed, GuestEmbed
from api.measures import Catalogue, Measure
from api.outcomes import Answer
from api.tokens import Dashboards
from pipeline.core.canonical import NUMBER_LENGTH
from pipeline.core.events import EVENT_TYPE, EVENT_TYPE_LENGTH
from pipeline.core.plain import ID_LENGTH
from pipeline.core.settings import IngestLimits

Schema = dict[str, Any]

EVENT_EXAMPLE: Schema = {
    "event_id": "018f2d5e-7c4a-7b1e-9d3f-2a6b8c0d4e5f",
    "event_type": "report.opened",
    "occurred_at": "2026-03-02T10:30:00Z",
    "user_id": "u-1042",
    "session_id": "s-77",
    "properties": {"report": "revenue", "seconds_to_load": 1.25},
}
SECOND_EXAMPLE: Schema = EVENT_EXAMPLE | {"event_id": "018f2d5e-7c4a-7b1e-9d3f-2a6b8c0d4e60"}
LINES_EXAMPLE = "\n".join(msgspec.json.encode(event).decode() for event in (EVENT_EXAMPLE, SECOND_EXAMPLE))
ANSWER_EXAMPLE: Schema = {
    "results": [
        {
            "index": 0,
            "event_id": EVENT_EXAMPLE["event_id"],
            "outcome": "accepted",
            "reason": None,
            "retryable": False,
        },
        {
            "index": 1,
            "event_id": None,
            "outcome": "invalid",
            "reason": "event_type is missing",
            "retryable": False,
        },
    ],
    "accepted": 1,
    "spooled": 0,
    "duplicate": 0,
    "conflict": 0,
    "invalid": 1,
}
ERROR_SCHEMA: Schema = {
    "title": "Error",
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "string", "description": "For programs: does not change between releases."},
        "message": {"type": "string", "description": "For people."},
        "details": {
            "type": "object",
            "description": (
                "On 503 `retry_with`: the ids given to events sent without one, by `index`. "
                "On 400 of a metric: the `parameter`, and what is `allowed`."
            ),
        },
    },
}
WHOLE_REQUEST = {
    400: "no_events, malformed_array or malformed_gzip: the body cannot be cut into events",
    401: "unauthorized: no valid API key, or not exactly one; the same answer for every cause",
    403: "missing_scope or tenant_suspended",
    408: "body_timeout",
    413: "body_too_large, inflated_body_too_large or too_many_events",
    415: "unsupported_media_type, unsupported_charset or unsupported_encoding",
    503: "overloaded (nothing was stored) or unavailable (some may be); retry after Retry-After seconds",
}
PER_EVENT = {
    200: "Every event is durable: accepted or spooled now, or a duplicate of one stored before",
    207: "Some events are durable, others were not taken: see each outcome",
    409: "No event is taken: every id belongs to an event with another payload",
    422: "No event is taken, and at least one is invalid",
}
DESCRIPTION = """\
Sends one event (a JSON object), an array of events, or one event a line (`application/x-ndjson`), optionally
in gzip. The answer comes when the accepted events are durable, and has an outcome for each event. One event
that is invalid harms none of the others.

Sending an event again under the same `event_id` is always safe: it counts once. The tenant comes from the key.
"""


class DocumentedApi(FastAPI):
    """FastAPI whose document has what routes that read their own bodies cannot declare."""

    def openapi(self) -> Schema:
        document = super().openapi()
        components = document.setdefault("components", {})
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        _, schemas = msgspec.json.schema_components(
            [Answer, Catalogue, Measure, Dashboards, Embed, GuestEmbed], ref_template="#/components/schemas/{name}"
        )
        components["schemas"] = schemas | {"Error": ERROR_SCHEMA}
        return document


def ingest_operation(limits: IngestLimits) -> Schema:
    """What `add_api_route` takes to document POST /v1/events."""
    event = event_schema(limits)
    answers = {
        status: _response(text, "Answer", example=ANSWER_EXAMPLE if status == 207 else None)
        for status, text in PER_EVENT.items()
    }
    errors = {status: _response(text, "Error") for status, text in WHOLE_REQUEST.items()}
    return {
        "summary": "Send events",
        "description": DESCRIPTION,
        "responses": answers | errors,
        "openapi_extra": {
            "security": [{"key": []}],
            "requestBody": {
                "required": True,
                "description": (
                    f"At most {limits.events} events, {limits.wire_bytes} bytes as sent and "
                    f"{limits.body_bytes} bytes decompressed."
                ),
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [event, {"type": "array", "items": event}]},
                        "examples": {
                            "one event": {"value": EVENT_EXAMPLE},
                            "several events": {"value": [EVENT_EXAMPLE, SECOND_EXAMPLE]},
                        },
                    },
                    "application/x-ndjson": {
                        "schema": {"type": "string", "description": "One event a line."},
                        "examples": {"several events": {"value": LINES_EXAMPLE}},
                    },
                },
            },
        },
    }


def event_schema(limits: IngestLimits) -> Schema:
    """The JSON Schema of a sent event; null is the same as leaving a field out."""
    text = {"type": ["string", "null"], "minLength": 1, "maxLength": ID_LENGTH}
    return {
        "title": "Event",
        "type": "object",
        "required": ["event_type"],
        "additionalProperties": False,
        "properties": {
            "event_id": {
                "type": ["string", "null"],
                "format": "uuid",
                "description": "Without one the event gets a UUIDv7, and a resend counts again.",
            },
            "event_type": {
                "type": "string",
                "pattern": f"^{EVENT_TYPE.pattern}$",
                "maxLength": EVENT_TYPE_LENGTH,
            },
            "occurred_at": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "With an offset, kept to the microsecond; without one the time of receipt.",
            },
            "user_id": text,
            "session_id": text,
            "properties": {
                "type": ["object", "null"],
                "description": (
                    f"At most {limits.depth} levels, {limits.keys} keys, {limits.string_length} characters a "
                    f"string; integers of 64 bits, other numbers of {NUMBER_LENGTH} characters; no NUL."
                ),
            },
        },
    }


def _response(description: str, schema: str, example: Schema | None = None) -> Schema:
    content: Schema = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {"application/json": content}}
