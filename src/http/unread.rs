//! Chunked bodies that nobody read to their end.
//!
//! The server below throws the rest of such a body away for as long as it
//! keeps coming, with no clock running: a byte now and then would hold a
//! connection for ever, also without a token (reliability: S-26). It closes
//! instead while the body is still held when its answer is sent; so that is
//! what happens here. Bodies of a declared length need none of this.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header::TRANSFER_ENCODING,
    web::Bytes,
};
use futures_util::Stream;

/// A request's body, held until the answer is sent unless it was read whole.
#[derive(Clone)]
pub(super) struct Held(Rc<RefCell<Option<Payload>>>);

impl Held {
    /// Takes hold of a chunked body; the request still reads the same bytes.
    pub(super) fn of(req: &mut ServiceRequest) -> Option<Self> {
        if !req.headers().contains_key(TRANSFER_ENCODING) {
            return None;
        }
        let held = Self(Rc::new(RefCell::new(Some(req.take_payload()))));
        let payload = Box::pin(held.clone());
        req.set_payload(Payload::Stream { payload });
        Some(held)
    }

    /// Ties what is unread to the answer.
    pub(super) fn until_sent(self, answer: ServiceResponse) -> ServiceResponse {
        if self.0.borrow().is_none() {
            return answer;
        }
        answer.map_body(|_, body| BoxBody::new(Holding { body, _held: self }))
    }
}

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut payload = self.0.borrow_mut();
        let Some(open) = payload.as_mut() else {
            return Poll::Ready(None);
        };
        let next = ready!(Pin::new(open).poll_next(cx));
        if !matches!(next, Some(Ok(_))) {
            *payload = None;
        }
        Poll::Ready(next)
    }
}

/// An answer's body that holds the request's.
struct Holding {
    body: BoxBody,
    _held: Held,
}

impl MessageBody for Holding {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
