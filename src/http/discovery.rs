//! What a client can find out about a connection (RFC 7643
//! sections 5 to 7, RFC 7644 section 4), and plain words for the endpoints
//! that are not offered.
//!
//! Everything told here is what is enforced; nothing is filtered or paged. An
//! `ETag` is made of what is told, so that a client may ask whether it changed.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde_json::{Map, Value, json};

use super::{body::Bounds, caller::Caller, failure::Refusal, offers::OFFERS, reply, version};
use crate::scim::{
    catalog::Assignable,
    error::Problem,
    message::LIST_RESPONSE,
    query::{CURSOR_TIMEOUT, DEFAULT_COUNT, MAX_COUNT},
    resource::ResourceType,
    schema::{GROUP, USER},
};

type Answer = Result<HttpResponse, Refusal>;

const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";

pub(super) async fn service_provider_config(caller: Caller, bounds: Bounds) -> Answer {
    unfiltered(&caller)?;
    told(&caller, &config(&caller, bounds.bytes))
}

pub(super) async fn resource_types(caller: Caller) -> Answer {
    unfiltered(&caller)?;
    told(&caller, &collection(&types(&caller)))
}

pub(super) async fn resource_type(caller: Caller) -> Answer {
    unfiltered(&caller)?;
    let mut types = types(&caller).into_iter();
    let found = types.find(|document| is_named(document, caller.id()));
    let found = found.ok_or_else(|| missing("resource type", "ResourceTypes"))?;
    told(&caller, &found)
}

pub(super) async fn schemas(caller: Caller) -> Answer {
    unfiltered(&caller)?;
    told(&caller, &collection(&documents(&caller)))
}

pub(super) async fn schema(caller: Caller) -> Answer {
    unfiltered(&caller)?;
    let mut documents = documents(&caller).into_iter();
    let found = documents.find(|document| is_named(document, caller.id()));
    let found = found.ok_or_else(|| missing("schema", "Schemas"))?;
    told(&caller, &found)
}

fn is_named(document: &Value, id: &str) -> bool {
    document.get("id").and_then(Value::as_str) == Some(id)
}

/// What the application's table holds.
pub(super) fn offered(caller: &Caller) -> Vec<Assignable> {
    let catalog = caller.session.catalog();
    let all = Assignable::ALL.into_iter();
    all.filter(|of| catalog.supports(*of)).collect()
}

fn types(caller: &Caller) -> Vec<Value> {
    let types = [ResourceType::User, ResourceType::Group];
    let mut types: Vec<Value> = types.map(|of| described(of, caller)).into();
    let more = offered(caller).into_iter();
    types.extend(more.flat_map(|of| assignable(of, &caller.base)));
    types
}

fn documents(caller: &Caller) -> Vec<Value> {
    let own = caller.schemas.documents().iter();
    let mut documents: Vec<Value> = own.map(|d| located(d, &caller.base)).collect();
    let more = offered(caller).into_iter().flat_map(Assignable::documents);
    documents.extend(more.map(|document| located(&document, &caller.base)));
    documents
}

/// One endpoint under two names, because a client looks for the schema that it
/// knows.
fn assignable(of: Assignable, base: &str) -> [Value; 2] {
    [(of.name(), of.urn()), (of.okta_name(), of.okta_urn())].map(|(name, urn)| {
        json!({
            "schemas": [RESOURCE_TYPE],
            "id": name,
            "name": name,
            "description": format!("{} that can be assigned to users", of.endpoint()),
            "endpoint": format!("/{}", of.endpoint()),
            "schema": urn,
            "schemaExtensions": [],
            "meta": {
                "resourceType": "ResourceType",
                "location": format!("{base}/ResourceTypes/{name}"),
            },
        })
    })
}

/// `/Me` would need a token that stands for one user; ours stand for an
/// identity provider (RFC 7644 section 3.11).
pub(super) async fn no_me(_: Caller) -> Answer {
    Err(Refusal::new(
        501,
        "/Me is not offered, because a token stands for a connection and not for a user. Use /Users/{id}.",
    ))
}

pub(super) async fn no_endpoint(_: Caller) -> Answer {
    Err(Refusal::no_endpoint())
}

/// RFC 7644 section 4: a filter on these endpoints is 403.
fn unfiltered(caller: &Caller) -> Result<(), Problem> {
    let query = web::Query::<Vec<(String, String)>>::from_query(caller.query());
    let pairs = query.map(web::Query::into_inner).unwrap_or_default();
    if pairs.iter().any(|(name, _)| name == "filter") {
        return Err(Problem::new(
            403,
            "This endpoint cannot be filtered (RFC 7644 section 4). Leave the filter parameter out.",
        ));
    }
    Ok(())
}

fn missing(what: &str, endpoint: &str) -> Refusal {
    Refusal::new(
        404,
        format!("There is no such {what}. GET /{endpoint} lists those that are."),
    )
}

fn collection(resources: &[Value]) -> Value {
    json!({
        "schemas": [LIST_RESPONSE],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

pub(super) fn told(caller: &Caller, document: &Value) -> Answer {
    told_as(caller, document.to_string())
}

/// A document with its version, or that the client has this one already.
pub(super) fn told_as(caller: &Caller, text: String) -> Answer {
    let version = version::of_text(&text);
    if caller.has(version)? {
        return Ok(reply::not_modified(version));
    }
    let mut answer = reply::json(StatusCode::OK, text);
    let tag = version::etag(version);
    answer.headers_mut().insert(header::ETAG, tag);
    Ok(answer)
}

/// RFC 7643 section 5, from what is enforced: the doors that there are, the
/// limits of the connection, what the application's table can assign. Also what
/// is not supported is said in full, because some clients give up on a missing
/// attribute.
fn config(caller: &Caller, body_limit: usize) -> Value {
    let (base, offers) = (&caller.base, &*OFFERS);
    let most = caller.limits().bulk_operations;
    json!({
        "schemas": [CONFIG],
        "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
        "patch": {"supported": offers.patch},
        "bulk": {"supported": offers.bulk, "maxOperations": most, "maxPayloadSize": body_limit},
        "filter": {"supported": offers.filter, "maxResults": MAX_COUNT},
        "changePassword": {"supported": takes_passwords(caller)},
        "sort": {"supported": offers.sort},
        "etag": {"supported": offers.etag},
        "interopProfileConformant": caller.limits().strict,
        "RolesAndEntitlements": caller.session.catalog().config(),
        "pagination": {
            "cursor": offers.cursor,
            "index": offers.index,
            "defaultPaginationMethod": "index",
            "defaultPageSize": DEFAULT_COUNT,
            "maxPageSize": MAX_COUNT,
            "cursorTimeout": CURSOR_TIMEOUT,
        },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token made for this connection by its administrator, sent as 'Authorization: Bearer TOKEN'.",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644#section-2",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base}/ServiceProviderConfig"),
        },
    })
}

/// Whether the schema of users has one to write.
fn takes_passwords(caller: &Caller) -> bool {
    let mut documents = caller.schemas.documents().iter();
    let users = documents.find(|document| is_named(document, USER));
    let attributes = users.and_then(|users| users.get("attributes")?.as_array());
    let mut attributes = attributes.into_iter().flatten();
    attributes.any(|attribute| attribute.get("name").is_some_and(|name| name == "password"))
}

/// RFC 7643 section 6.
fn described(of: ResourceType, caller: &Caller) -> Value {
    let (schema, description) = match of {
        ResourceType::User => (USER, "User accounts"),
        ResourceType::Group => (GROUP, "Groups and their members"),
    };
    let extensions = caller.schemas.extensions(of).into_iter();
    let extensions: Vec<Value> = extensions
        .map(|urn| json!({"schema": urn, "required": false}))
        .collect();
    json!({
        "schemas": [RESOURCE_TYPE],
        "id": of.name(),
        "name": of.name(),
        "description": description,
        "endpoint": format!("/{}", of.endpoint()),
        "schema": schema,
        "schemaExtensions": extensions,
        "meta": {
            "resourceType": "ResourceType",
            "location": format!("{}/ResourceTypes/{}", caller.base, of.name()),
        },
    })
}

/// A schema document at its address under this base URL.
fn located(document: &Value, base: &str) -> Value {
    let mut document = document.clone();
    let id = document.get("id").and_then(Value::as_str);
    let location = format!("{base}/Schemas/{}", id.unwrap_or_default());
    if let Some(document) = document.as_object_mut() {
        let meta = document.entry("meta");
        let meta = meta.or_insert_with(|| Value::Object(Map::new()));
        if let Some(meta) = meta.as_object_mut() {
            meta.insert("resourceType".into(), "Schema".into());
            meta.insert("location".into(), location.into());
        }
    }
    document
}
