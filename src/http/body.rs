//! Request bodies: the media type, the size while it streams in, the time it
//! may take (reliability: S-19, S-26, S-27). JSON itself is read by `scim`.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    time::Duration,
};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap, HeaderValue},
    web::{Bytes, BytesMut},
};
use futures_util::StreamExt;

use super::{failure::Refusal, settings::Settings};

/// A whole body that says it is JSON, within the limits.
#[derive(Debug)]
pub(super) struct Body(pub(super) Bytes);

/// How much of a body is taken, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

impl From<&Settings> for Bounds {
    fn from(settings: &Settings) -> Self {
        Self {
            bytes: settings.body_limit,
            time: settings.body_timeout,
        }
    }
}

impl FromRequest for Bounds {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(req)))
    }
}

impl Bounds {
    fn of(req: &HttpRequest) -> Self {
        let set = req.app_data::<Self>().copied();
        set.unwrap_or_else(|| Self::from(&Settings::default()))
    }
}

impl FromRequest for Body {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = read(req.headers(), payload.take(), Bounds::of(req));
        Box::pin(async move { read.await.map(Self) })
    }
}

/// Reads a whole body; its headers are judged before that.
pub(super) fn read(
    headers: &HeaderMap,
    payload: Payload,
    bounds: Bounds,
) -> impl Future<Output = Result<Bytes, Refusal>> + use<> {
    let acceptable = accepted(headers, bounds);
    async move {
        acceptable?;
        let read = tokio::time::timeout(bounds.time, gather(payload, bounds));
        read.await.unwrap_or_else(|_| Err(too_slow(bounds)))
    }
}

/// Judges the headers before a byte of the body is read.
fn accepted(headers: &HeaderMap, bounds: Bounds) -> Result<(), Refusal> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING) {
        let plain = encoding.as_bytes().trim_ascii();
        if !plain.is_empty() && !plain.eq_ignore_ascii_case(b"identity") {
            return Err(Refusal::new(
                415,
                "Compressed bodies are not accepted. Send the body without Content-Encoding.",
            ));
        }
    }
    if !headers.get(header::CONTENT_TYPE).is_none_or(is_json) {
        return Err(Refusal::new(
            415,
            "The Content-Type must be application/scim+json or application/json.",
        ));
    }
    let declared = headers.get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|l| l.to_str().ok()?.parse::<usize>().ok());
    match declared {
        Some(length) if length > bounds.bytes => Err(too_large(bounds)),
        _ => Ok(()),
    }
}

/// Compares type and subtype in any letter case, and no parameters; an empty
/// header counts as none.
fn is_json(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
    let kind = value.get(..end).unwrap_or(value).trim_ascii();
    kind.is_empty()
        || kind.eq_ignore_ascii_case(b"application/scim+json")
        || kind.eq_ignore_ascii_case(b"application/json")
}

/// Takes chunks as long as they fit; a body of one chunk is not copied.
async fn gather(mut payload: Payload, bounds: Bounds) -> Result<Bytes, Refusal> {
    let Some(first) = payload.next().await else {
        return Ok(Bytes::new());
    };
    let first = first.map_err(|_| broken_off())?;
    let Some(mut next) = payload.next().await else {
        return fits(first.len(), bounds).map(|()| first);
    };
    let mut whole = BytesMut::from(first.as_ref());
    loop {
        let chunk = next.map_err(|_| broken_off())?;
        fits(whole.len().saturating_add(chunk.len()), bounds)?;
        whole.extend_from_slice(&chunk);
        match payload.next().await {
            Some(more) => next = more,
            None => return Ok(whole.freeze()),
        }
    }
}

fn fits(length: usize, bounds: Bounds) -> Result<(), Refusal> {
    (length <= bounds.bytes)
        .then_some(())
        .ok_or_else(|| too_large(bounds))
}

fn too_large(bounds: Bounds) -> Refusal {
    Refusal::new(
        413,
        format!(
            "The body is larger than {} bytes (body_limit, which is also the maxPayloadSize of a bulk request). Send it in parts, such as several PATCH requests with fewer members each.",
            bounds.bytes
        ),
    )
}

fn too_slow(bounds: Bounds) -> Refusal {
    Refusal::new(
        408,
        format!(
            "The body did not arrive within {} seconds.",
            bounds.time.as_secs()
        ),
    )
}

fn broken_off() -> Refusal {
    Refusal::new(400, "The body broke off or is wrongly framed.")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::test::TestRequest;

    use super::*;

    async fn read(request: TestRequest) -> Result<Bytes, u16> {
        let bounds = Bounds {
            bytes: 16,
            time: Duration::from_secs(5),
        };
        let (req, mut payload) = request.app_data(bounds).to_http_parts();
        let body = Body::from_request(&req, &mut payload).await;
        body.map(|b| b.0).map_err(|r| r.status().as_u16())
    }

    #[actix_web::test]
    async fn json_is_taken_under_all_its_names() {
        for kind in [
            "application/scim+json",
            "application/json",
            "Application/SCIM+JSON; charset=utf-8",
            "application/json;odata=x",
            " application/json ; a=b",
            "",
        ] {
            let request = TestRequest::post().insert_header(("Content-Type", kind));
            assert_eq!(
                read(request.set_payload("{}")).await.unwrap(),
                "{}",
                "{kind}"
            );
        }
        assert_eq!(
            read(TestRequest::post().set_payload("{}")).await.unwrap(),
            "{}"
        );
    }

    #[actix_web::test]
    async fn other_types_and_compressed_bodies_are_refused() {
        for kind in ["text/plain", "application/xml", "application/jsonx", "json"] {
            let request = TestRequest::post().insert_header(("Content-Type", kind));
            assert_eq!(read(request.set_payload("{}")).await, Err(415), "{kind}");
        }
        let request = TestRequest::post().insert_header(("Content-Encoding", "gzip"));
        assert_eq!(read(request.set_payload("{}")).await, Err(415));
        let request = TestRequest::post().insert_header(("Content-Encoding", "identity"));
        assert!(read(request.set_payload("{}")).await.is_ok());
    }

    #[actix_web::test]
    async fn a_body_may_fill_the_limit_and_not_pass_it() {
        let request = |n| TestRequest::post().set_payload(vec![b' '; n]);
        assert_eq!(read(request(16)).await.unwrap().len(), 16);
        assert_eq!(read(request(17)).await, Err(413));
    }
}
