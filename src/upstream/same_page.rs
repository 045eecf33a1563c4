//! Whether a list goes on: an application that overlooks what leads from one page to
//! the next gives the same page again and again, and each may tell of another one.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

/// The page before, by its entries.
#[derive(Debug, Default)]
pub(super) struct PageBefore(Option<u64>);

impl PageBefore {
    /// Takes a page; whether it is the one before. One without entries is none.
    pub(super) fn is_again(&mut self, rows: &[Value]) -> bool {
        if rows.is_empty() {
            return false;
        }
        let mut hash = DefaultHasher::new();
        for row in rows {
            row.to_string().hash(&mut hash);
        }
        let page = hash.finish();
        self.0.replace(page) == Some(page)
    }
}
