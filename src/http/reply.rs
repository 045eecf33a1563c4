//! Answers: the media type, a resource, a list, and their headers
//! (RFC 7644 sections 3.3 to 3.6, 3.14).

use std::fmt::Write as _;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web::Bytes,
};

use super::{caller::Caller, version};
use crate::{
    bridge::{Listed, Paging, Resource, Written},
    scim::{
        catalog::{Assignable, Entry},
        groups::{self, DirectGroup},
        message::LIST_RESPONSE,
        query::Projection,
        render::{self, Tag},
        resource::{
            ResourceId,
            ResourceType::{self, User},
        },
    },
};

pub(super) const MEDIA_TYPE: &str = "application/scim+json";
pub(super) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/scim+json; charset=utf-8");

/// Accepted and durable, but the application has not confirmed it yet.
const PENDING: HeaderName = HeaderName::from_static("drawbridge-pending");
/// How many unknown members were left out, by the connection's policy.
const SKIPPED: HeaderName = HeaderName::from_static("drawbridge-skipped-members");

/// Any JSON text.
pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> HttpResponse {
    let mut answer = HttpResponse::new(status).set_body(actix_web::body::BoxBody::new(text.into()));
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, CONTENT_TYPE);
    answer
}

/// A resource without members and groups.
pub(super) fn resource(
    status: StatusCode,
    caller: &Caller,
    of: ResourceType,
    resource: &Resource,
    projection: &Projection,
) -> HttpResponse {
    let text = text(of, resource, &[], &caller.base, projection);
    identified(json(status, text), &caller.base, of, resource)
}

/// A user with its groups, if they are wanted.
pub(super) fn user(
    status: StatusCode,
    caller: &Caller,
    user: &Resource,
    groups: &[DirectGroup],
    projection: &Projection,
) -> HttpResponse {
    let text = text(User, user, groups, &caller.base, projection);
    let mut answer = identified(json(status, text), &caller.base, User, user);
    let tag = version::etag(tag(user, groups));
    answer.headers_mut().insert(header::ETAG, tag);
    answer
}

/// The tag of a resource that is shown with these groups.
pub(super) fn tag(resource: &Resource, groups: &[DirectGroup]) -> Tag {
    Tag {
        version: resource.meta.version,
        groups: groups::fingerprint(groups),
    }
}

/// Adds the headers that name a resource and its version.
pub(super) fn identified(
    mut answer: HttpResponse,
    base: &str,
    of: ResourceType,
    resource: &Resource,
) -> HttpResponse {
    let headers = answer.headers_mut();
    headers.insert(header::ETAG, version::etag(resource.meta.version));
    if let Ok(location) = HeaderValue::try_from(location(base, of, resource.id)) {
        headers.insert(header::LOCATION, location);
    }
    answer
}

fn location(base: &str, of: ResourceType, id: ResourceId) -> String {
    format!("{base}/{}/{id}", of.endpoint())
}

/// A resource's JSON, without members: spliced from the stored text when all
/// of it is wanted, else built and cut. `groups` are those a user is shown with.
pub(super) fn text(
    of: ResourceType,
    resource: &Resource,
    groups: &[DirectGroup],
    base: &str,
    projection: &Projection,
) -> String {
    let (id, meta, attributes) = (resource.id, resource.meta, &resource.attributes);
    let (created, modified, tag) = (meta.created, meta.modified, tag(resource, groups));
    if projection.is_default() {
        let mut text = render::render(of, id, created, modified, tag, attributes, base);
        groups::splice(&mut text, groups, base);
        return text;
    }
    let mut map = render::document(of, id, created, modified, tag, attributes, Some(base));
    if !groups.is_empty() {
        let elements = groups.iter().map(|group| group.to_json(Some(base)));
        map.insert("groups".into(), elements.collect());
    }
    projection.apply(&mut map);
    serde_json::Value::Object(map).to_string()
}

/// A row of a table.
pub(super) fn row(of: Assignable, entry: &Entry, base: &str, projection: &Projection) -> String {
    let mut row = entry.resource(of, base);
    projection.apply(&mut row);
    serde_json::Value::Object(row).to_string()
}

/// A list's text up to and with the bracket that opens its resources.
pub(super) fn list_head(page: &Listed) -> String {
    let total = page.total;
    let mut head = format!("{{\"schemas\":[\"{LIST_RESPONSE}\"],\"totalResults\":{total},");
    match &page.paging {
        Paging::Index(start) => {
            let _ = write!(head, "\"startIndex\":{start},");
        }
        Paging::Cursor { next, previous } => {
            for (name, cursor) in [("previousCursor", previous), ("nextCursor", next)] {
                if let Some(cursor) = cursor {
                    let _ = write!(head, "\"{name}\":\"{cursor}\",");
                }
            }
        }
    }
    head.push_str("\"Resources\":[");
    head
}

/// The rest of a list. The page's size comes last, because only the one who
/// wrote the page knows it.
pub(super) fn list_tail(items: usize) -> String {
    format!("],\"itemsPerPage\":{items}}}")
}

/// The client's copy is the present one.
pub(super) fn not_modified(tag: impl Into<Tag>) -> HttpResponse {
    let mut answer = HttpResponse::new(StatusCode::NOT_MODIFIED);
    let headers = answer.headers_mut();
    headers.insert(header::ETAG, version::etag(tag));
    answer
}

/// A change that is answered without a body.
pub(super) fn done(written: &Written) -> HttpResponse {
    let mut answer = HttpResponse::new(StatusCode::NO_CONTENT);
    let tag = version::etag(written.resource.meta.version);
    answer.headers_mut().insert(header::ETAG, tag);
    answer
}

/// What may be done with a path.
pub(super) fn allowing(methods: HeaderValue) -> HttpResponse {
    let mut answer = HttpResponse::new(StatusCode::NO_CONTENT);
    answer.headers_mut().insert(header::ALLOW, methods);
    answer
}

/// A deleted resource.
pub(super) fn gone() -> HttpResponse {
    HttpResponse::new(StatusCode::NO_CONTENT)
}

/// Says what is not yet, or not wholly, done.
pub(super) fn noting(written: &Written, answer: HttpResponse) -> HttpResponse {
    noting_all([written], answer)
}

/// The same of several writes together.
pub(super) fn noting_all<'a>(
    written: impl IntoIterator<Item = &'a Written>,
    mut answer: HttpResponse,
) -> HttpResponse {
    point!("answer.ready");
    let (mut pending, mut skipped) = (false, 0);
    for written in written {
        pending |= written.pending;
        skipped += written.skipped.len();
    }
    let headers = answer.headers_mut();
    if pending {
        headers.insert(PENDING, HeaderValue::from_static("true"));
    }
    if skipped > 0 {
        headers.insert(SKIPPED, HeaderValue::from(skipped));
    }
    answer
}
