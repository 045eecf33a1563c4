//! Whether a list goes on: an application that overlooks what leads from one page to
//! the next gives the same page again and again, and each may tell of another one.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;

/// A page of a list. Its entries are compared by their ids, because the rest of them can
/// be another one in each answer; one without an id, by the whole of it.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: usize,
    /// Every entry has an id.
    has_ids: bool,
    hash: u64,
}

impl Page {
    pub(super) fn of(rows: &[Value], id: impl Fn(&Value) -> Option<String>) -> Self {
        let mut hash = DefaultHasher::new();
        let mut has_ids = true;
        for row in rows {
            let id = id(row);
            has_ids &= id.is_some();
            (id.is_some(), id.unwrap_or_else(|| row.to_string())).hash(&mut hash);
        }
        Self {
            entries: rows.len(),
            has_ids,
            hash: hash.finish(),
        }
    }

    /// Of entries with a text at this key, that is the id.
    pub(super) fn of_keyed(rows: &[Value], key: &str) -> Self {
        Self::of(rows, |row| Some(row.get(key)?.as_str()?.to_owned()))
    }
}

/// The pages before.
#[derive(Debug, Default)]
pub(super) struct PagesBefore {
    last: Option<u64>,
    with_ids: HashSet<u64>,
}

impl PagesBefore {
    /// Takes a page; whether it is the one before, or any before where each of its
    /// entries has an id. One without entries is none.
    pub(super) fn has(&mut self, page: &Page) -> bool {
        if page.entries == 0 {
            return false;
        }
        let is_last = self.last.replace(page.hash) == Some(page.hash);
        is_last || page.has_ids && !self.with_ids.insert(page.hash)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether the last one of these pages of one entry is one that came before.
    fn is_again(rows: &[Value]) -> bool {
        let mut before = PagesBefore::default();
        let pages = rows.iter().map(|row| Page::of_keyed(&[row.clone()], "id"));
        pages.map(|page| before.has(&page)).last() == Some(true)
    }

    #[test]
    fn a_page_is_known_by_the_ids_of_its_entries() {
        let row = |id: &str, at: u8| json!({ "id": id, "seen": at });
        assert!(is_again(&[row("a", 1), row("a", 2)]));
        assert!(is_again(&[row("a", 1), row("b", 2), row("a", 3)]));
        assert!(!is_again(&[row("a", 1), row("b", 1)]));
        // Without ids two can be alike and not the same.
        assert!(is_again(&[json!([1]), json!([1])]));
        assert!(!is_again(&[json!([1]), json!([2]), json!([1])]));
        assert!(!is_again(&[json!({ "id": "x" }), json!("x")]));
        let mut before = PagesBefore::default();
        let empty = Page::of_keyed(&[], "id");
        assert!(!before.has(&empty) && !before.has(&empty));
    }
}
