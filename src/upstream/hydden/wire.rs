//! The shapes of Hydden.Control's answers. More keys than these may come and
//! are left alone; what is missing or of another type makes the whole answer
//! unclear, but for an entry of a list that tells its id.

use serde::Deserialize;
use serde_json::Value;

/// A page of groups or accounts. The reference calls the list `data`, the pages
/// of the operations call it by what it holds.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    #[serde(alias = "groups", alias = "accounts")]
    pub(super) data: Vec<T>,
    #[serde(rename = "pageInfo")]
    pub(super) info: PageInfo,
}

/// Those of a page, as they came.
pub(super) fn entries(page: &Value) -> &[Value] {
    let list = ["data", "groups", "accounts"].iter();
    list.filter_map(|key| page.get(key)?.as_array())
        .next()
        .map_or(&[], Vec::as_slice)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    #[serde(default)]
    pub(super) end_cursor: Option<String>,
}

/// Something on a list; without an id that can be read it is none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Entry<T> {
    Whole(T),
    Unreadable { id: String },
}

pub(super) trait Named {
    fn id(&self) -> &str;
}

impl Named for Group {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Named for Account {
    fn id(&self) -> &str {
        &self.id
    }
}

impl<T: Named> Entry<T> {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Whole(whole) => whole.id(),
            Self::Unreadable { id } => id,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default, rename = "group_type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) is_privileged: Option<bool>,
    #[serde(default)]
    pub(super) member_count: Option<u64>,
    #[serde(default)]
    pub(super) created_at: Option<String>,
}

/// Everybody in a group: one answer, without pages.
#[derive(Debug, Deserialize)]
pub(super) struct Members {
    pub(super) members: Vec<Member>,
    #[serde(default)]
    pub(super) count: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) membership_type: MembershipType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MembershipType {
    Direct,
    /// Through a group inside the group.
    Indirect,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Account {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) display_name: Option<String>,
    #[serde(default)]
    pub(super) department: Option<String>,
    #[serde(default)]
    pub(super) data_source_id: Option<String>,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) created_at: Option<String>,
}
