//! Request bodies: the media type, the size while it streams in, the time it
//! may take, the room it needs (reliability: S-19, S-26, S-27). JSON itself is
//! read by `scim`.

use std::{
    cell::Cell,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{
        Method,
        header::{self, HeaderMap, HeaderValue},
    },
    web::{Bytes, BytesMut},
};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    failure::Refusal,
    revoking,
    room::{Room, SMALL},
    settings::Settings,
};

/// A whole body that says it is JSON, within the limits.
#[derive(Debug)]
pub(super) struct Body(pub(super) Bytes);

/// The seconds after which a client is told to come again that found no room.
const COME_AGAIN: u64 = 5;

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
        // Read ahead of its turn.
        let read_before = req.extensions_mut().remove::<Self>();
        if let Some(body) = read_before {
            return Box::pin(ready(Ok(body)));
        }
        let room = req.extensions_mut().remove::<Arc<Room>>();
        let Some(room) = room else {
            return Box::pin(ready(Err(Refusal::unauthenticated())));
        };
        let bounds = Bounds::of(req);
        read(req.method(), req.headers(), payload.take(), (bounds, room)).boxed_local()
    }
}

/// Reads a whole body; its headers are judged before that.
pub(super) fn read(
    method: &Method,
    headers: &HeaderMap,
    payload: Payload,
    (bounds, room): (Bounds, Arc<Room>),
) -> impl Future<Output = Result<Body, Refusal>> + use<> {
    let acceptable = accepted(headers, bounds);
    let method = method.clone();
    async move {
        let reading = Reading {
            method,
            bounds,
            room,
            most: acceptable?.unwrap_or(bounds.bytes),
            waits: Cell::new(false),
        };
        let read = tokio::time::timeout(bounds.time, gather(payload, &reading));
        read.await.unwrap_or_else(|_| {
            let refusal = if reading.waits.get() {
                no_room()
            } else {
                too_slow(bounds)
            };
            Err(refusal)
        })
    }
}

/// What is known of a body before it is there.
struct Reading {
    method: Method,
    bounds: Bounds,
    room: Arc<Room>,
    /// No more bytes than that can come.
    most: usize,
    /// Whether it is we who wait, for room.
    waits: Cell<bool>,
}

impl Reading {
    /// Waits for the room of the rest; `begun` has come.
    async fn room(&self, begun: &[u8]) -> Option<OwnedSemaphorePermit> {
        let revokes = revoking::takes_away(&self.method, begun);
        self.waits.set(true);
        let room = self.room.take(self.most, revokes).await;
        self.waits.set(false);
        room
    }
}

/// Judges the headers before a byte of the body is read; returns the length
/// where they tell it.
fn accepted(headers: &HeaderMap, bounds: Bounds) -> Result<Option<usize>, Refusal> {
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
        declared => Ok(declared),
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

/// Takes chunks as long as they fit; a body of one chunk is not copied. While it
/// waits for room it asks for no more, so that the client stops sending.
async fn gather(mut payload: Payload, reading: &Reading) -> Result<Body, Refusal> {
    let Some(first) = payload.next().await else {
        return Ok(Body(Bytes::new()));
    };
    let first = first.map_err(|_| broken_off())?;
    fits(first.len(), reading.bounds)?;
    let mut room = None;
    if first.len() > SMALL && first.len() < reading.most {
        room = reading.room(&first).await;
    }
    let Some(mut next) = payload.next().await else {
        return Ok(Body(first));
    };
    let mut whole = BytesMut::with_capacity(first.len());
    if room.is_some() {
        whole.reserve(reading.most);
    }
    whole.extend_from_slice(&first);
    drop(first);
    loop {
        let chunk = next.map_err(|_| broken_off())?;
        fits(whole.len().saturating_add(chunk.len()), reading.bounds)?;
        whole.extend_from_slice(&chunk);
        drop(chunk);
        if room.is_none() && whole.len() > SMALL {
            room = reading.room(&whole).await;
            whole.reserve(reading.most.saturating_sub(whole.len()));
        }
        match payload.next().await {
            Some(more) => next = more,
            None => return Ok(Body(whole.freeze())),
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

/// Not 429: what it waited for is used up by bodies, not by requests.
fn no_room() -> Refusal {
    Refusal::later(
        COME_AGAIN,
        "Too many large bodies of this connection are under way, and are sent slowly. Nothing was changed; send the request again after the seconds in Retry-After, fewer large ones at once.",
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
        req.extensions_mut().insert(Arc::new(Room::new(16)));
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
