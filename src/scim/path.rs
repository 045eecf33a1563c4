//! Attribute paths (RFC 7644 figures 1 and 7): `name.familyName`,
//! `emails[type eq "work"].value`, `urn:...:User:manager`.

use super::filter::Filter;

/// A path resolved against the schema, in canonical spelling.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The extension's URN; `None` for core attributes, also when the client
    /// wrote the core URN.
    pub extension: Option<String>,
    pub attribute: String,
    pub filter: Option<Box<Filter>>,
    pub sub_attribute: Option<String>,
}
