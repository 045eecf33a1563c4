//! The messages of a bulk request (RFC 7644 section 3.7) as schema components.
//! What `data` holds is the body of the single request, and told there.

use serde_json::{Value, json};

use super::operation::named;
use crate::scim::{
    json::Limits,
    message::{BULK_REQUEST, BULK_RESPONSE},
};

/// Members count in any letter case, and members that the RFC does not know
/// are ignored.
pub(super) fn request(limits: &Limits) -> Value {
    let mut required = vec!["Operations"];
    let mut schemas = json!({});
    if limits.strict {
        required.push("schemas");
        schemas = json!({"type": "array", "contains": {"const": BULK_REQUEST}});
    }
    json!({
        "type": "object",
        "description": "BulkRequest (RFC 7644 section 3.7).",
        "properties": {
            "schemas": schemas,
            "failOnErrors": {
                "type": ["integer", "null"],
                "minimum": 1,
                "description": "So many errors end the work; what was not begun then is left undone.",
            },
            "Operations": {
                "type": "array",
                "maxItems": limits.bulk_operations,
                "items": operation(),
            },
        },
        "required": required,
        "additionalProperties": true,
    })
}

fn operation() -> Value {
    let text = json!({"type": ["string", "null"], "minLength": 1});
    json!({
        "type": "object",
        "properties": {
            "method": {
                "type": "string",
                "minLength": 1,
                "description": "POST, PUT, PATCH or DELETE; another one is refused in its place.",
            },
            "path": {
                "type": ["string", "null"],
                "minLength": 1,
                "description": "/Users or /Groups for a POST, else with the id behind it.",
            },
            "bulkId": text,
            "version": text,
            "data": {"description": "The body of the single request; none for DELETE."},
        },
        "required": ["method"],
        "if": {"properties": {"method": {"type": "string", "pattern": "^[Pp][Oo][Ss][Tt]$"}}},
        "then": {
            "properties": {"bulkId": {"type": "string", "minLength": 1}},
            "required": ["bulkId"],
        },
        "additionalProperties": true,
    })
}

pub(super) fn response() -> Value {
    json!({
        "type": "object",
        "description": "BulkResponse (RFC 7644 section 3.7).",
        "properties": {
            "schemas": {"const": [BULK_RESPONSE]},
            "Operations": {"type": "array", "items": answer()},
        },
        "required": ["schemas", "Operations"],
        "additionalProperties": false,
    })
}

fn answer() -> Value {
    json!({
        "type": "object",
        "properties": {
            "location": {"type": "string", "format": "uri"},
            "method": {"type": "string"},
            "bulkId": {"type": "string"},
            "version": {"type": "string"},
            "status": {"type": "string", "pattern": "^[245][0-9][0-9]$"},
            "response": named("schemas", "Error"),
        },
        "required": ["method", "status"],
        "additionalProperties": false,
    })
}
