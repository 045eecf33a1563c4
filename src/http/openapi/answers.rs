//! The headers of answers, and every refusal as a response component: a SCIM
//! Error with the headers that belong to its status (RFC 7644 section 3.12).

use serde_json::{Map, Value, json};

use super::operation::named;
use crate::http::reply::MEDIA_TYPE;

/// What every answer carries.
const EVERY: [&str; 3] = ["X-Request-Id", "Cache-Control", "X-Content-Type-Options"];

/// Every status a request can be refused with, its meaning and its headers.
const REFUSALS: [(u16, &str, &[&str]); 15] = [
    (
        400,
        "The request is malformed; `scimType` says how, where RFC 7644 has a word for it.",
        &[],
    ),
    (
        401,
        "There is no valid token of this connection.",
        &["WWW-Authenticate"],
    ),
    (
        403,
        "The request is understood and not permitted; asking again changes nothing.",
        &[],
    ),
    (404, "There is no such resource.", &[]),
    (408, "The body took too long to arrive.", &[]),
    (
        409,
        "A value that must be unique is in use, or the resource is not in a state for this.",
        &[],
    ),
    (
        412,
        "The resource is not at the version that the request insists on; `ETag` tells which it is at.",
        &["ETag"],
    ),
    (
        413,
        "The body or what is asked for in it is too large.",
        &[],
    ),
    (414, "The address is too long.", &[]),
    (415, "The body's media type or encoding is not taken.", &[]),
    (429, "Too many requests at once.", &["Retry-After"]),
    (431, "The headers are too large.", &[]),
    (
        500,
        "A fault of this service; its log tells more under the request's id.",
        &[],
    ),
    (502, "The application behind this service refused.", &[]),
    (
        503,
        "Not now; `Retry-After` says when to ask again.",
        &["Retry-After"],
    ),
];

pub(super) fn refusals() -> Value {
    let response = |(status, means, headers): (u16, &str, &'static [&str])| {
        let content = json!({MEDIA_TYPE: {"schema": named("schemas", "Error")}});
        let told = json!({
            "description": means,
            "headers": with_headers(headers),
            "content": content,
        });
        (status.to_string(), told)
    };
    REFUSALS
        .into_iter()
        .map(response)
        .collect::<Map<_, _>>()
        .into()
}

/// References to header components, with those that every answer has.
pub(super) fn with_headers(names: &[&str]) -> Value {
    let names = EVERY.iter().chain(names);
    let headers = names.map(|name| ((*name).to_owned(), named("headers", name)));
    headers.collect::<Map<_, _>>().into()
}

pub(super) fn headers() -> Value {
    json!({
        "X-Request-Id": required("The request's own id, if it is 1 to 64 letters, digits, `-`, `.` and `_`, else a new one; the log has it too.", &json!({
            "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$",
        })),
        "Cache-Control": required("Answers are data about people.", &json!({"const": "no-store"})),
        "X-Content-Type-Options": required("The media type is what it says.", &json!({"const": "nosniff"})),
        "ETag": required("The version, to be sent back in `If-Match` (RFC 7644 section 3.14).", &json!({
            "type": "string", "pattern": "^W/\"[0-9]+(-[0-9a-f]{16})?\"$",
        })),
        "Location": required("The resource's address.", &json!({"type": "string", "format": "uri"})),
        "Retry-After": required("Seconds.", &json!({"type": "integer", "minimum": 1})),
        "WWW-Authenticate": required("How to authenticate.", &json!({"const": "Bearer realm=\"SCIM\""})),
        "Allow": required("The methods of the path.", &json!({
            "type": "string", "pattern": "^[A-Z]+(, [A-Z]+)*$",
        })),
        "drawbridge-dropped-attributes": optional("How many attributes of the body were left out, because no schema defines them.", &json!({
            "type": "integer", "minimum": 1,
        })),
        "drawbridge-pending": optional("The change is kept, and the application has not confirmed it yet.", &json!({"const": "true"})),
        "drawbridge-skipped-members": optional("How many unknown members were left out, by the connection's policy.", &json!({
            "type": "integer", "minimum": 1,
        })),
    })
}

fn required(description: &str, schema: &Value) -> Value {
    json!({"description": description, "required": true, "schema": schema})
}

fn optional(description: &str, schema: &Value) -> Value {
    json!({"description": description, "schema": schema})
}
