//! What is tested of the bridge as a whole.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use super::bearer;

mod world;

#[test]
fn a_token_is_read_with_and_without_its_scheme() {
    assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
    assert_eq!(bearer(b"bEARER  abc "), Some(&b"abc"[..]));
    assert_eq!(bearer(b"abc"), Some(&b"abc"[..]));
    for nothing in [&b""[..], b"  ", b"Bearer", b"Bearer ", b"Basic abc"] {
        assert_eq!(bearer(nothing), None);
    }
}
