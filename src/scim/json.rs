//! JSON as the edge accepts it: no duplicate keys, bounded depth, nothing
//! after the document (reliability: S-20 to S-22).

use serde_json::Value;

use super::error::Problem;

/// Bounds on one request body. Advertised where ServiceProviderConfig has a
/// place, enforced always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nesting of objects and arrays.
    pub depth: usize,
    /// Operations in one PATCH.
    pub operations: usize,
    /// Members named in one request.
    pub members: usize,
    /// Bytes of a filter.
    pub filter: usize,
    /// Nesting of a filter.
    pub filter_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 32,
            operations: 1_000,
            members: 10_000,
            filter: 4_096,
            filter_depth: 32,
        }
    }
}

/// Parses a whole body strictly. Every failure is 400 `invalidSyntax` and
/// says the line and column.
pub fn parse(body: &[u8], limits: &Limits) -> Result<Value, Problem> {
    let _ = (body, limits);
    Err(Problem::new(501, "not written yet"))
}
