//! Bulk requests (RFC 7644 section 3.7) as values: a body is read into
//! operations, what they name by `bulkId` gets the ids that the caller mints,
//! and an order is found in which what is referred to comes first.
//!
//! What is wrong with the message refuses all of it; what is wrong with one
//! operation is that operation's own refusal. The resources in `data` are read
//! later, by the parsers of single requests: of the schemas nothing is asked here
//! but where they have references.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    error::{Problem, ScimType},
    json::{self, Limits, quoted},
    message::BULK_REQUEST,
    resource::ResourceType,
};

mod order;
mod references;
mod spots;

pub use order::units;

/// The levels of a bulk request around the `data` of an operation.
const AROUND: usize = 3;

/// A whole request.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkRequest {
    /// So many errors end the work; what was not begun then is left undone.
    pub fail_on_errors: Option<usize>,
    pub operations: Vec<Operation>,
}

/// One operation; refused already where it says nothing that can be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// As the client wrote it.
    pub method: String,
    pub bulk_id: Option<String>,
    /// An entity tag, as `If-Match` would carry it.
    pub version: Option<String>,
    pub act: Result<Act, Problem>,
    /// The places of the operations that create what this one refers to;
    /// known after [`BulkRequest::resolve`].
    pub needs: Vec<usize>,
}

/// What is to be done with which resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    pub verb: Verb,
    pub of: ResourceType,
    /// Of a resource to be created: minted by [`BulkRequest::resolve`].
    pub id: String,
    /// The body that a single request would have; null for a DELETE.
    pub data: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Create,
    Replace,
    Patch,
    Delete,
}

impl BulkRequest {
    /// A single request.
    pub fn of(act: Act) -> Self {
        Self::single(String::new(), Ok(act))
    }

    /// The same, by the method as the client wrote it.
    pub fn single(method: String, act: Result<Act, Problem>) -> Self {
        Self {
            fail_on_errors: None,
            operations: vec![Operation {
                method,
                bulk_id: None,
                version: None,
                act,
                needs: Vec::new(),
            }],
        }
    }
}

/// Reads the body of a bulk request.
pub fn parse(body: &[u8], limits: &Limits) -> Result<BulkRequest, Problem> {
    let around = Limits {
        depth: limits.depth.saturating_add(AROUND),
        ..*limits
    };
    let Value::Object(mut body) = json::parse(body, &around)? else {
        return Err(syntax("the body must be a JSON object with Operations"));
    };
    if limits.strict && !names_itself(&body) {
        return Err(syntax(&format!("schemas must name {BULK_REQUEST}")));
    }
    let fail_on_errors = match take(&mut body, "failOnErrors")? {
        None => None,
        Some(value) => Some(most_errors(&value)?),
    };
    let Some(Value::Array(list)) = take(&mut body, "Operations")? else {
        return Err(syntax(
            "Operations must be an array of objects with method, path, bulkId and data",
        ));
    };
    if list.len() > limits.bulk_operations {
        return Err(Problem::new(
            413,
            format!(
                "the request has {} operations and so exceeds maxOperations ({}); send it in parts",
                list.len(),
                limits.bulk_operations
            ),
        ));
    }
    let mut operations = Vec::with_capacity(list.len());
    let mut taken = HashSet::new();
    for (place, value) in list.into_iter().enumerate() {
        let placed = |problem: Problem| Problem {
            detail: format!("Operations[{place}]: {}", problem.detail),
            ..problem
        };
        let operation = operation(value).map_err(placed)?;
        if let Some(id) = &operation.bulk_id
            && !taken.insert(id.clone())
        {
            let id = quoted(id);
            return Err(placed(syntax(&format!("the bulkId {id} is given twice"))));
        }
        operations.push(operation);
    }
    Ok(BulkRequest {
        fail_on_errors,
        operations,
    })
}

fn names_itself(body: &Map<String, Value>) -> bool {
    let schemas = body.get("schemas").and_then(Value::as_array);
    schemas.is_some_and(|list| list.iter().any(|urn| urn == BULK_REQUEST))
}

fn operation(value: Value) -> Result<Operation, Problem> {
    let Value::Object(mut map) = value else {
        return Err(syntax("an operation must be an object"));
    };
    let Some(method) = text(&mut map, "method")? else {
        return Err(syntax("method is missing: POST, PUT, PATCH or DELETE"));
    };
    let bulk_id = text(&mut map, "bulkId")?;
    if method.eq_ignore_ascii_case("POST") && bulk_id.is_none() {
        return Err(syntax(
            "a POST needs a bulkId, a text of its own in this request",
        ));
    }
    Ok(Operation {
        bulk_id,
        version: text(&mut map, "version")?,
        act: act(&method, text(&mut map, "path")?, take(&mut map, "data")?),
        method,
        needs: Vec::new(),
    })
}

/// A single request, by its method, its path below the base URL and its body.
pub fn act(method: &str, path: Option<String>, data: Option<Value>) -> Result<Act, Problem> {
    let verb = match method.to_ascii_uppercase().as_str() {
        "POST" => Verb::Create,
        "PUT" => Verb::Replace,
        "PATCH" => Verb::Patch,
        "DELETE" => Verb::Delete,
        _ => {
            let method = quoted(method);
            return Err(syntax(&format!(
                "method must be POST, PUT, PATCH or DELETE, not {method}"
            )));
        }
    };
    let path = path.ok_or_else(|| syntax("the operation needs a path, such as /Users"))?;
    let (of, id) = target(&path)?;
    if (verb == Verb::Create) != id.is_none() {
        return Err(Problem::new(
            405,
            "POST goes to /Users or /Groups; PUT, PATCH and DELETE to /Users/{id} or /Groups/{id}",
        ));
    }
    let data = match data {
        _ if verb == Verb::Delete => Value::Null,
        Some(data @ Value::Object(_)) => data,
        _ => return Err(syntax("data must be an object: the body of the operation")),
    };
    Ok(Act {
        verb,
        of,
        id: id.unwrap_or_default(),
        data,
    })
}

/// The resource type and, if there is one, the id of a path below the base URL.
fn target(path: &str) -> Result<(ResourceType, Option<String>), Problem> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let (endpoint, id) = match rest.split_once('/') {
        Some((endpoint, id)) => (endpoint, Some(id)),
        None => (rest, None),
    };
    let types = [ResourceType::User, ResourceType::Group];
    let of = types.into_iter().find(|of| of.endpoint() == endpoint);
    match (of, id) {
        (Some(of), None) => Ok((of, None)),
        (Some(of), Some(id)) if !id.is_empty() && !id.contains(['/', '?', '#']) => {
            Ok((of, Some(id.to_owned())))
        }
        _ if endpoint == "Bulk" => Err(syntax("a bulk request cannot hold another one")),
        _ => Err(Problem::new(
            404,
            format!(
                "path must be /Users, /Users/{{id}}, /Groups or /Groups/{{id}}, not {}",
                quoted(path)
            ),
        )),
    }
}

fn most_errors(value: &Value) -> Result<usize, Problem> {
    let whole = |number: &f64| number.fract() == 0.0 && *number > 0.0;
    let number = match value.as_u64() {
        Some(number) => Some(number).filter(|number| *number > 0),
        // 2.0 is a whole number in JSON.
        None => value
            .as_f64()
            .filter(whole)
            .map(|number| format!("{number:.0}").parse().unwrap_or(u64::MAX)),
    };
    number
        .map(|number| usize::try_from(number).unwrap_or(usize::MAX))
        .ok_or_else(|| {
            Problem::bad(
                ScimType::InvalidValue,
                "failOnErrors must be a whole number above 0; leave it out to have everything tried",
            )
        })
}

/// A text that says something.
fn text(map: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match take(map, name)? {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(syntax(&format!(
            "{name} must be a string that is not empty"
        ))),
    }
}

/// A member in any letter case; null is none.
fn take(map: &mut Map<String, Value>, name: &str) -> Result<Option<Value>, Problem> {
    let named = |key: &&String| key.eq_ignore_ascii_case(name);
    let keys: Vec<String> = map.keys().filter(named).cloned().collect();
    match keys.as_slice() {
        [] => Ok(None),
        [key] => Ok(map.get_mut(key).map(Value::take).filter(|v| !v.is_null())),
        _ => Err(syntax(&format!("{name} is given twice"))),
    }
}

fn syntax(detail: &str) -> Problem {
    Problem::bad(ScimType::InvalidSyntax, detail)
}

#[cfg(test)]
mod tests;
