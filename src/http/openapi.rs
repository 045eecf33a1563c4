//! `GET /openapi.json`: an `OpenAPI` 3.1 document of what this connection
//! serves, made when it is asked for.
//!
//! Its paths are the routes' own table, its resources the connection's own
//! schemas, its limits those that are enforced, so it cannot tell of another
//! server than this one. `HEAD`, which every `GET` can be asked as, is said
//! once in words; `/livez` and `/Me` belong to no resource and are left out.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde_json::{Map, Value, json};

use super::{body::Bounds, caller::Caller, failure::Refusal, reply, routes, version};
use crate::scim::{catalog::Catalog, json::Limits, schema::Schemas};

mod answers;
mod bulk;
mod messages;
mod operation;
pub(super) mod operations;
mod parameters;
#[cfg(test)]
mod tests;

pub(super) use operation::Operation;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// What the document depends on besides the code.
pub(super) struct Connection<'a> {
    pub(super) base: &'a str,
    pub(super) schemas: &'a Schemas,
    pub(super) catalog: &'a Catalog,
    pub(super) limits: &'a Limits,
    /// Bytes of a body.
    pub(super) body: usize,
}

pub(super) async fn document(caller: Caller, bounds: Bounds) -> Result<HttpResponse, Refusal> {
    let catalog = caller.session.catalog();
    let connection = Connection {
        base: &caller.base,
        schemas: &caller.schemas,
        catalog: &catalog,
        limits: caller.limits(),
        body: bounds.bytes,
    };
    let text = whole(&connection).to_string();
    let version = version::of_text(&text);
    if caller.has(version)? {
        return Ok(reply::not_modified(version));
    }
    let mut answer = reply::json(StatusCode::OK, text);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(header::ETAG, version::etag(version));
    Ok(answer)
}

fn whole(connection: &Connection<'_>) -> Value {
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "SCIM 2.0",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Users and groups of one connection (RFC 7643, 7644, 9865).",
            "description": about(connection),
        },
        "servers": [{"url": connection.base}],
        "security": [{"bearer": []}],
        "tags": operations::TAGS.map(|(name, text)| json!({"name": name, "description": text})),
        "paths": paths(),
        "components": {
            "schemas": messages::schemas(connection),
            "parameters": parameters::components(connection),
            "headers": answers::headers(),
            "responses": answers::refusals(),
            "securitySchemes": {"bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token made for this connection by its administrator.",
            }},
        },
    })
}

fn about(connection: &Connection<'_>) -> String {
    format!(
        "Every GET can be asked as HEAD; a method that is not told here is answered 405, with `Allow`. Bodies are JSON in UTF-8 of at most {} bytes, without a \
         key given twice and nested no deeper than {}; addresses are at most 8192 bytes long. \
         Attribute names count in any letter case, with or without their schema's URN; the \
         properties below are in canonical spelling.{}",
        connection.body,
        connection.limits.depth,
        messages::leniency(connection),
    )
}

fn paths() -> Value {
    let mut paths = Map::new();
    for (path, doors) in routes::told() {
        let mut item = Map::new();
        for (method, operation) in doors {
            let method = method.as_str().to_ascii_lowercase();
            item.insert(method, operation.to_json(path));
        }
        item.insert("options".into(), operations::options(path).to_json(path));
        // The base URL itself is the document's "/".
        let path = if path.is_empty() { "/" } else { path };
        paths.insert(path.to_owned(), item.into());
    }
    paths.into()
}
