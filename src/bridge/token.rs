//! Bearer tokens: 256 random bits with a prefix and a checksum, kept as keyed
//! digests in a file per connection, re-read when it changes.

/// The live tokens of one connection.
#[derive(Debug, Default)]
pub struct Tokens {}
