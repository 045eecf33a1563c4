//! Black box: the real server on port 0, the real store, bytes in, bytes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod front;
mod tidy;
mod wire;
