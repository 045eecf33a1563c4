//! Every way to be refused, as a SCIM Error message in JSON (RFC 7644
//! section 3.12).
//!
//! [`Refusal`] is the only error type of this front: handlers, extractors and
//! the guard end in it, and what actix itself refuses is put into its words.
//! Nothing here tells more than the status and a sentence that helps.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

use serde_json::Value;

use super::{reply, version};
use crate::{bridge::Failure, scim::error::Problem};

/// A request that is not done: what the client is told, and the headers that
/// belong to it.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: Problem,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: u16, detail: impl Into<String>) -> Self {
        Problem::new(status, detail).into()
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// One answer for no token, a bad token and an unknown connection, so
    /// that nobody learns which connections there are.
    pub(super) fn unauthenticated() -> Self {
        Self::new(
            401,
            "Send a valid token of this connection as 'Authorization: Bearer TOKEN'.",
        )
        .with(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"SCIM\""),
        )
    }

    /// For what took too long or cannot be taken now.
    pub(super) fn later(seconds: u64, detail: impl Into<String>) -> Self {
        Self::new(503, detail).with(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// The connection has used up its budget of requests.
    pub(super) fn too_many(seconds: u64) -> Self {
        let detail = "This connection sends more requests than it may (request_budget). Nothing was changed; send the request again after the seconds in Retry-After.";
        Self::new(429, detail).with(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// A fault of ours; the request id leads to what was logged.
    pub(super) fn internal() -> Self {
        Self::new(
            500,
            "The server failed on this request. Its log tells more under the id in the X-Request-Id header.",
        )
    }

    /// The words for a status that actix chose.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let detail = match status.as_u16() {
            404 => return Self::no_endpoint(),
            500 => return Self::internal(),
            400 => "The request is malformed.",
            405 => "This method is not possible here. The Allow header lists the methods that are.",
            408 => "The request took too long to arrive.",
            413 => "The request body is too large.",
            414 => "The request's URL is too long.",
            415 => "The request's content type is not understood; send application/scim+json.",
            431 => "The request's headers are too large.",
            _ => status.canonical_reason().unwrap_or("The request failed."),
        };
        Self::new(status.as_u16(), detail)
    }

    pub(super) fn no_endpoint() -> Self {
        Self::new(
            404,
            "There is no such endpoint. Below the base URL there are Users, Groups, Roles, Entitlements, Bulk, ServiceProviderConfig, Schemas, ResourceTypes and openapi.json, and .search below the base URL, Users, Groups, Roles and Entitlements, spelled exactly so.",
        )
    }

    pub(super) fn body(&self) -> String {
        self.to_json().to_string()
    }

    /// The SCIM Error.
    pub(super) fn to_json(&self) -> Value {
        self.problem.to_json()
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            headers: Vec::new(),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problem(problem) => problem.into(),
            Failure::Stale(current) => {
                Self::new(412, failure.to_string()).with(header::ETAG, version::etag(current))
            }
            Failure::Later { seconds, detail } => Self::later(seconds, detail),
            Failure::Stopped(stopped) => Self::new(403, stopped.to_string()),
            Failure::Internal => Self::internal(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = reply::json(self.status(), self.body());
        append(answer.headers_mut(), &self.headers);
        answer
    }
}

fn append(to: &mut HeaderMap, headers: &[(HeaderName, HeaderValue)]) {
    for (name, value) in headers {
        to.insert(name.clone(), value.clone());
    }
}

/// Whether an answer already is one of ours.
pub(super) fn is_scim(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(reply::MEDIA_TYPE.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::body::to_bytes;

    use super::*;
    use crate::scim::error::ScimType;

    async fn told(refusal: Refusal) -> (u16, HeaderMap, Value) {
        let answer = refusal.error_response();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = to_bytes(answer.into_body()).await.unwrap();
        (status, headers, serde_json::from_slice(&body).unwrap())
    }

    #[actix_web::test]
    async fn a_refusal_is_a_scim_error_with_a_string_status() {
        let problem = Problem::bad(ScimType::InvalidFilter, "at 3");
        let (status, headers, body) = told(problem.into()).await;
        assert_eq!(status, 400);
        assert!(is_scim(&headers));
        assert_eq!(body["status"], "400");
        assert_eq!(body["scimType"], "invalidFilter");
        assert_eq!(body["detail"], "at 3");
        assert_eq!(
            body["schemas"][0],
            "urn:ietf:params:scim:api:messages:2.0:Error"
        );
    }

    #[actix_web::test]
    async fn failures_keep_what_the_client_needs_next() {
        let (status, headers, _) = told(Failure::Stale(9).into()).await;
        assert_eq!(status, 412);
        assert_eq!(headers.get(header::ETAG).unwrap(), "W/\"9\"");
        let later = Failure::Later {
            seconds: 7,
            detail: "busy".into(),
        };
        let (status, headers, _) = told(later.into()).await;
        assert_eq!(status, 503);
        assert_eq!(headers.get(header::RETRY_AFTER).unwrap(), "7");
        let (status, headers, body) = told(Refusal::unauthenticated()).await;
        assert_eq!((status, body["status"].as_str()), (401, Some("401")));
        assert!(headers.contains_key(header::WWW_AUTHENTICATE));
    }

    #[actix_web::test]
    async fn what_actix_refuses_gets_words_too() {
        for status in [400, 404, 405, 408, 413, 414, 415, 416, 431, 500, 501] {
            let status = StatusCode::from_u16(status).unwrap();
            let (told, _, body) = told(Refusal::of_status(status)).await;
            assert_eq!(told, status.as_u16());
            assert!(body["detail"].as_str().is_some_and(|d| d.len() > 5));
        }
    }
}
