//! Resources as JSON Schema (draft 2020-12), made of the connection's own
//! schema documents: as they are answered, and as they are taken.
//!
//! The two differ: an answer is exact, and what may be left out of it is what
//! a projection can leave out; a body may be looser, and its dialect is the
//! parsers' ([`accepted`]). Letter case of names and JSON texts in place of
//! objects are understood too, and no schema can say so.

use serde_json::{Map, Value, json};

use super::{
    resource::ResourceType,
    schema::{GROUP, Schemas, USER},
};

mod accepted;
#[cfg(test)]
mod tests;

pub use accepted::accepted;

/// A resource as it is answered.
pub fn answered(schemas: &Schemas, of: ResourceType) -> Value {
    let extensions = schemas.extensions(of);
    let mut properties = Map::new();
    let mut urns = vec![core(of)];
    urns.extend(&extensions);
    properties.insert("schemas".into(), urns_in_use(&urns));
    let id = json!({"type": "string", "format": "uuid", "readOnly": true});
    properties.insert("id".into(), id);
    let mut required = vec![Value::from("schemas"), "id".into()];
    for definition in definitions(schemas, core(of)) {
        if is(definition, "returned", "always") {
            required.extend(definition.get("name").cloned());
        }
    }
    shown_all(definitions(schemas, core(of)), &mut properties);
    for urn in extensions {
        properties.insert(urn.to_owned(), shown_object(definitions(schemas, urn)));
    }
    properties.insert("meta".into(), meta(of.name(), true));
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A document of the service itself, such as `ServiceProviderConfig`, as it is
/// answered: whole, since nothing of it is projected.
pub fn document(schemas: &Schemas, urn: &str, name: &str) -> Value {
    let mut properties = Map::new();
    properties.insert("schemas".into(), json!({"const": [urn]}));
    shown_all(definitions(schemas, urn), &mut properties);
    properties.insert("meta".into(), meta(name, false));
    let mut required = vec![Value::from("schemas")];
    required.extend(required_of(definitions(schemas, urn)));
    required.push("meta".into());
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn core(of: ResourceType) -> &'static str {
    match of {
        ResourceType::User => USER,
        ResourceType::Group => GROUP,
    }
}

fn urns_in_use(urns: &[&str]) -> Value {
    json!({
        "type": "array",
        "items": {"enum": urns},
        "minItems": 1,
        "uniqueItems": true,
        "readOnly": true,
    })
}

/// `meta`; documents of the service have no dates and no version.
fn meta(resource_type: &str, dated: bool) -> Value {
    let mut properties = json!({
        "resourceType": {"const": resource_type},
        "location": {"type": "string", "format": "uri"},
    });
    if let (true, Some(properties)) = (dated, properties.as_object_mut()) {
        let instant = json!({"type": "string", "format": "date-time"});
        properties.insert("created".into(), instant.clone());
        properties.insert("lastModified".into(), instant);
        let version = json!({"type": "string", "pattern": "^W/\"[0-9]+(-[0-9a-f]{16})?\"$"});
        properties.insert("version".into(), version);
    }
    json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "readOnly": true,
    })
}

/// The attribute definitions of one schema document.
fn definitions<'a>(schemas: &'a Schemas, urn: &str) -> impl Iterator<Item = &'a Value> {
    let documents = schemas.documents().iter();
    let mut named = documents.filter(move |d| is(d, "id", urn)).take(1);
    let list = named.next().and_then(|d| d.get("attributes"));
    list.and_then(Value::as_array).into_iter().flatten()
}

fn parts(definition: &Value) -> impl Iterator<Item = &Value> {
    let list = definition.get("subAttributes").and_then(Value::as_array);
    list.into_iter().flatten()
}

fn is(definition: &Value, characteristic: &str, value: &str) -> bool {
    text(definition, characteristic) == value
}

fn text<'a>(definition: &'a Value, characteristic: &str) -> &'a str {
    let value = definition.get(characteristic).and_then(Value::as_str);
    value.unwrap_or_default()
}

fn flag(definition: &Value, characteristic: &str) -> bool {
    definition.get(characteristic).and_then(Value::as_bool) == Some(true)
}

fn required_of<'a>(definitions: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let required = definitions.filter(|d| flag(d, "required"));
    required.filter_map(|d| d.get("name").cloned()).collect()
}

fn shown_all<'a>(definitions: impl Iterator<Item = &'a Value>, into: &mut Map<String, Value>) {
    for definition in definitions.filter(|d| !is(d, "returned", "never")) {
        into.insert(text(definition, "name").to_owned(), shown(definition));
    }
}

fn shown_object<'a>(definitions: impl Iterator<Item = &'a Value>) -> Value {
    let mut properties = Map::new();
    shown_all(definitions, &mut properties);
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// An attribute as it is answered. Canonical values are told as examples,
/// because what was taken in from the application may have others.
fn shown(definition: &Value) -> Value {
    let mut one = match text(definition, "type") {
        // Told of itself it would have no end (RFC 7643 section 8.7.2).
        "complex" if is(definition, "name", "subAttributes") => json!({"type": "object"}),
        "complex" => shown_object(parts(definition)),
        _ => simple(definition),
    };
    if let (Some(values), Some(one)) = (definition.get("canonicalValues"), one.as_object_mut()) {
        one.insert("examples".into(), values.clone());
    }
    let mut whole = match flag(definition, "multiValued") {
        true => json!({"type": "array", "items": one}),
        false => one,
    };
    annotate(definition, &mut whole);
    whole
}

/// A single value that is not complex.
fn simple(definition: &Value) -> Value {
    match text(definition, "type") {
        "boolean" => json!({"type": "boolean"}),
        "decimal" => json!({"type": "number"}),
        "integer" => json!({"type": "integer", "minimum": i64::MIN, "maximum": u64::MAX}),
        "dateTime" => json!({"type": "string", "format": "date-time"}),
        "binary" => json!({"type": "string", "contentEncoding": "base64"}),
        _ => json!({"type": "string"}),
    }
}

fn annotate(definition: &Value, schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    if let Some(description) = definition.get("description") {
        schema.insert("description".into(), description.clone());
    }
    match text(definition, "mutability") {
        "readOnly" => schema.insert("readOnly".into(), true.into()),
        "writeOnly" => schema.insert("writeOnly".into(), true.into()),
        _ => None,
    };
}
