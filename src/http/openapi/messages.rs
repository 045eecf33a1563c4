//! The schema components: resources from the connection's schemas, and the
//! protocol's messages around them (RFC 7644 sections 3.4.2, 3.4.3, 3.5.2
//! and 3.12).

use serde_json::{Map, Value, json};

use super::{Connection, bulk, operation::named};
use crate::scim::{
    catalog::Assignable,
    error::{ERROR_SCHEMA, ScimType},
    json_schema,
    message::{LIST_RESPONSE, PATCH_OP, SEARCH_REQUEST},
    resource::ResourceType::{Group, User},
};

/// Documents of the service itself, by the names of their components.
const DOCUMENTS: [&str; 3] = ["ServiceProviderConfig", "ResourceType", "Schema"];

pub(super) fn schemas(connection: &Connection<'_>) -> Value {
    let (schemas, limits) = (connection.schemas, connection.limits);
    let mut all = Map::new();
    for of in [User, Group] {
        all.insert(of.name().into(), json_schema::answered(schemas, of));
        let body = json_schema::accepted(schemas, of, limits);
        all.insert(format!("{}Body", of.name()), body);
        all.insert(format!("{}List", of.name()), list(&[of.name()]));
    }
    all.insert(
        "ResourceList".into(),
        list(&["User", "Group", "Role", "Entitlement"]),
    );
    for name in DOCUMENTS {
        let urn = format!("urn:ietf:params:scim:schemas:core:2.0:{name}");
        all.insert(name.into(), json_schema::document(schemas, &urn, name));
    }
    all.insert("SchemaList".into(), list(&["Schema"]));
    all.insert("ResourceTypeList".into(), list(&["ResourceType"]));
    all.insert("PatchOp".into(), patch(connection));
    all.insert("SearchRequest".into(), search(connection));
    for of in Assignable::ALL {
        all.insert(of.name().into(), entry(of));
        all.insert(format!("{}List", of.name()), list(&[of.name()]));
    }
    all.insert("BulkRequest".into(), bulk::request(connection.limits));
    all.insert("BulkResponse".into(), bulk::response());
    all.insert("Error".into(), error());
    all.insert("OpenAPI".into(), openapi());
    all.into()
}

/// How this connection reads what departs from the schemas' letter, in words.
pub(super) fn leniency(connection: &Connection<'_>) -> &'static str {
    match connection.limits.strict {
        true => " This connection is strict: what no schema defines is refused.",
        false => {
            " What no schema defines is left out. JSON text is understood in place of an object or array."
        }
    }
}

fn list(of: &[&str]) -> Value {
    let mut kinds: Vec<Value> = of.iter().map(|name| named("schemas", name)).collect();
    let items = match kinds.len() {
        1 => kinds.pop().unwrap_or_default(),
        _ => json!({"anyOf": kinds}),
    };
    let number = json!({"type": "integer", "minimum": 0});
    let cursor = json!({"type": "string", "pattern": "^[A-Za-z0-9._~-]+$"});
    json!({
        "type": "object",
        "description": "ListResponse (RFC 7644 section 3.4.2).",
        "properties": {
            "schemas": {"const": [LIST_RESPONSE]},
            "totalResults": number,
            "startIndex": {"type": "integer", "minimum": 1},
            "itemsPerPage": number,
            "nextCursor": cursor,
            "previousCursor": cursor,
            "Resources": {"type": "array", "items": items},
        },
        "required": ["schemas", "totalResults", "Resources"],
        "additionalProperties": false,
    })
}

/// A key of a message counts in any letter case.
fn patch(connection: &Connection<'_>) -> Value {
    let strict = connection.limits.strict;
    let schemas = match strict {
        true => json!({"const": [PATCH_OP]}),
        false => json!({}),
    };
    let operations = ["add", "replace", "remove"].map(|op| operation(op, strict));
    let mut required = vec!["Operations"];
    if strict {
        required.push("schemas");
    }
    json!({
        "type": "object",
        "description": "PatchOp (RFC 7644 section 3.5.2); all of it is done or nothing.",
        "properties": {
            "schemas": schemas,
            "Operations": {
                "type": "array",
                "maxItems": connection.limits.operations,
                "items": {"anyOf": operations},
            },
        },
        "required": required,
        "additionalProperties": !strict,
    })
}

/// One operation; leniently `op` counts in any letter case, and a path may be
/// missing.
fn operation(name: &str, strict: bool) -> Value {
    let path = json!({"type": "string", "format": "scim-path", "description": "What to change (RFC 7644 figure 7)."});
    let (op, path) = match (strict, name) {
        (true, _) => (json!({"const": name}), path),
        (false, "remove") => (any_case(name), path),
        (false, _) => (any_case(name), json!({"anyOf": [path, {"type": "null"}]})),
    };
    let required: &[&str] = match (name, strict) {
        ("remove", _) => &["op", "path"],
        (_, true) => &["op", "path", "value"],
        (_, false) => &["op", "value"],
    };
    json!({
        "type": "object",
        "properties": {"op": op, "path": path, "value": {}},
        "required": required,
        "additionalProperties": !strict,
    })
}

/// A word in any letter case.
fn any_case(word: &str) -> Value {
    let letters = word.chars();
    let letters = letters.map(|c| format!("[{}{c}]", c.to_ascii_uppercase()));
    json!({"type": "string", "pattern": format!("^{}$", letters.collect::<String>())})
}

/// One of two forms, because a page is asked for by index or by cursor.
fn search(connection: &Connection<'_>) -> Value {
    let number = json!({"type": ["integer", "null"]});
    let by_index = json!({"startIndex": number, "count": number, "cursor": {"type": "null"}});
    let by_cursor = json!({
        "startIndex": {"type": "null"},
        "count": number,
        "cursor": {"type": "string", "format": "scim-cursor"},
    });
    json!({
        "description": "SearchRequest (RFC 7644 section 3.4.3); the members mean what the query parameters do.",
        "anyOf": [
            searching(connection, &by_index, &[]),
            searching(connection, &by_cursor, &["cursor"]),
        ],
    })
}

fn searching(connection: &Connection<'_>, page: &Value, required: &[&str]) -> Value {
    let strict = connection.limits.strict;
    let (schemas, names) = match strict {
        true => (json!({"const": [SEARCH_REQUEST]}), known_names()),
        false => (json!({}), any_names()),
    };
    let mut required = required.to_vec();
    if strict {
        required.push("schemas");
    }
    let mut properties = json!({
        "schemas": schemas,
        "filter": {"anyOf": [
            {"type": "string", "format": "scim-filter", "minLength": 1, "maxLength": connection.limits.filter},
            {"type": "null"},
        ]},
        "sortBy": {"anyOf": [{"type": "string", "format": "scim-attribute"}, {"type": "null"}]},
        "sortOrder": {"enum": ["ascending", "descending", null]},
        "attributes": names,
        "excludedAttributes": names,
    });
    if let (Some(all), Some(page)) = (properties.as_object_mut(), page.as_object()) {
        all.extend(page.clone());
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": !strict,
    })
}

fn any_names() -> Value {
    json!({"anyOf": [
        {"type": "array", "items": {"type": "string"}},
        {"type": ["string", "null"]},
    ]})
}

/// Strictly, names are those of attributes.
fn known_names() -> Value {
    let name = json!({"type": "string", "format": "scim-attribute"});
    json!({"type": ["array", "null"], "items": name})
}

fn entry(of: Assignable) -> Value {
    let text = json!({"type": "string", "minLength": 1});
    json!({
        "type": "object",
        "description": format!("A {} in the draft's form and in Okta's.", of.name()),
        "properties": {
            "schemas": {"const": [of.urn(), of.okta_urn()]},
            "id": text, "value": text, "display": text, "displayName": text, "type": text,
            "description": {"type": "string"},
            "supported": {"type": "boolean"},
            "meta": {"type": "object"},
        },
        "required": ["schemas", "id"],
        "additionalProperties": false,
    })
}

fn error() -> Value {
    let words = ScimType::ALL.map(ScimType::as_str);
    json!({
        "type": "object",
        "description": "Error (RFC 7644 section 3.12).",
        "properties": {
            "schemas": {"const": [ERROR_SCHEMA]},
            "status": {"type": "string", "pattern": "^[45][0-9][0-9]$"},
            "scimType": {"enum": words},
            "detail": {"type": "string", "minLength": 1},
        },
        "required": ["schemas", "status", "detail"],
        "additionalProperties": false,
    })
}

fn openapi() -> Value {
    json!({
        "type": "object",
        "description": "An OpenAPI 3.1 document.",
        "properties": {"openapi": {"type": "string", "pattern": "^3\\.1\\.[0-9]+$"}},
        "required": ["openapi", "info", "paths", "components"],
    })
}
