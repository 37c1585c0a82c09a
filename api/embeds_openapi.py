"""The endpoints of embedding as OpenAPI tells them."""

from __future__ import annotations

from typing import Any

from pipeline.core.metabase import LEAST_TOKEN_SECONDS

Schema = dict[str, Any]

EMBED_BODY: Schema = {"dashboard": "usage", "theme": "light", "seconds": 600}
GUEST_BODY: Schema = {"entityType": "dashboard", "entityId": 3, "customContext": {"page": "billing"}}
EMBED_EXAMPLE: Schema = {
    "dashboard": "usage",
    "token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
    "url": "https://metabase.example.com/embed/dashboard/eyJ0eXAiOi…#bordered=false&titled=true",
    "expires_at": "2026-03-04T06:10:00Z",
    "as_of": "2026-03-04T06:00:00Z",
    "held": False,
}
DASHBOARDS_EXAMPLE: Schema = {
    "instance_url": "https://metabase.example.com",
    "dashboards": [{"slug": "usage", "dashboard_id": 3, "title": "Usage"}],
}
EMBED = """\
Answers a token for one dashboard of the key's tenant, and the address of a frame that shows it.

Ask for it on your server, when a page is shown, and give the page the address alone: the key stays with you. The token
lives for minutes and opens that dashboard only. `as_of` says up to when the figures are; with `held` true newer data is
held back by the checks, and these are the last good figures. Every token is in the audit log.
"""
GUEST = """\
Answers what Metabase's component (`<metabase-dashboard>`) asks of its `guestEmbedProviderUri`.

Let a route of your own server forward the component's request here with the key of the signed-in user's tenant. The
dashboard's id comes from a browser: only dashboards that may be embedded get a token. `customContext` is not looked at.
"""
ERRORS = {
    400: "invalid_request: the message says what to send",
    401: "unauthorized: no valid API key, or not exactly one; the same answer for every cause",
    403: "missing_scope or tenant_suspended",
    404: "unknown_dashboard: `details.dashboards` names those that may be embedded",
    408: "body_timeout",
    409: "nothing_published: nothing of the tenant is published yet, so that there is nothing to show",
    413: "body_too_large",
    415: "unsupported_media_type or unsupported_encoding",
    429: "too_many_tokens of this tenant in a minute, or too_many_requests at the same time",
    503: "not_set_up (the message says what is missing), overloaded or unavailable",
}


def embed_operation(token_seconds: int) -> Schema:
    """What `add_api_route` takes to document POST /v1/embeds."""
    seconds = {
        "type": ["integer", "null"],
        "minimum": LEAST_TOKEN_SECONDS,
        "maximum": token_seconds,
        "default": token_seconds,
    }
    properties: Schema = {
        "dashboard": {"type": "string", "description": "Its slug: see GET /v1/dashboards."},
        "theme": {"type": "string", "enum": ["light", "dark"], "default": "light"},
        "seconds": seconds,
    }
    body = {"type": "object", "required": ["dashboard"], "additionalProperties": False, "properties": properties}
    return _operation("Embed a dashboard", EMBED, "Embed", EMBED_EXAMPLE, body=body, sent=EMBED_BODY)


def guest_operation() -> Schema:
    """What `add_api_route` takes to document POST /v1/embeds/guest."""
    properties: Schema = {
        "entityType": {"type": "string", "enum": ["dashboard"]},
        "entityId": {"type": ["integer", "string"], "description": "What Metabase calls the dashboard."},
        "customContext": {},
    }
    body = {"type": "object", "required": ["entityType", "entityId"], "properties": properties}
    example = {"jwt": EMBED_EXAMPLE["token"]}
    return _operation("Embed with Metabase's component", GUEST, "GuestEmbed", example, body=body, sent=GUEST_BODY)


def dashboards_operation() -> Schema:
    """What `add_api_route` takes to document GET /v1/dashboards."""
    return {
        "summary": "List the dashboards that may be embedded",
        "description": "The same for all tenants, with Metabase's address for browsers.",
        "responses": {200: _response("The dashboards", "Dashboards", DASHBOARDS_EXAMPLE)}
        | {status: _response(ERRORS[status], "Error") for status in (401, 403, 429, 503)},
        "openapi_extra": {"security": [{"key": []}]},
    }


def _operation(summary: str, description: str, answer: str, example: Schema, *, body: Schema, sent: Schema) -> Schema:
    content = {"application/json": {"schema": body, "example": sent}}
    return {
        "summary": summary,
        "description": description,
        "responses": {200: _response("The token", answer, example)}
        | {status: _response(text, "Error") for status, text in ERRORS.items()},
        "openapi_extra": {"security": [{"key": []}], "requestBody": {"required": True, "content": content}},
    }


def _response(description: str, schema: str, example: Schema | None = None) -> Schema:
    content: Schema = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {"application/json": content}}
