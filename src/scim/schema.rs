//! The schemas (RFC 7643 sections 4 to 8): one source for what `/Schemas`
//! says and what the parsers enforce.

use serde_json::Value;

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A connection's schemas: the core ones, the enterprise extension, and the
/// application's own, with what the application cannot change marked so.
#[derive(Debug, Clone, PartialEq)]
pub struct Schemas {
    // Lookup tables and served documents; private to this module.
    _documents: Vec<Value>,
}

/// How one application bends a standard attribute, said in `/Schemas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// The schema's URN and the attribute, e.g. (`USER`, `roles`) or (`USER`, `roles.value`).
    pub schema: String,
    pub attribute: String,
    pub mutability: Option<&'static str>,
    pub canonical_values: Vec<String>,
    /// Appended to the description: the reason, in the words the plan uses.
    pub note: String,
}

impl Schemas {
    /// The standard schemas with an application's `extensions` (whole schema
    /// documents, see RFC 7643 section 7) and adjustments.
    pub fn new(extensions: &[Value], adjustments: &[Adjustment]) -> Self {
        let _ = (extensions, adjustments);
        Self {
            _documents: Vec::new(),
        }
    }

    /// The schema documents as `/Schemas` lists them (without `meta.location`'s
    /// base, which the HTTP front adds).
    pub fn documents(&self) -> &[Value] {
        &self._documents
    }

    /// The URNs of the extensions that a resource type may carry.
    pub fn extensions(&self, of: super::resource::ResourceType) -> Vec<&str> {
        let _ = of;
        Vec::new()
    }
}
