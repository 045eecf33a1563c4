//! What the bridge asks of Hydden.Control: one row per documented operation it
//! uses. All of it is in the vendor's own text, so nothing here is
//! configurable. The members of a group have no operation but the reading, and
//! the updating merges: what is not sent stays.

use reqwest::Method;

/// The operations in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    ListGroups,
    GetGroup,
    CreateGroup,
    UpdateGroup,
    DeleteGroup,
    GetMembers,
    ListAccounts,
    GetAccount,
}

/// What stands in braces is filled in, percent-encoded.
impl Name {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::ListGroups | Self::CreateGroup => "/api/v1/groups",
            Self::GetGroup | Self::UpdateGroup | Self::DeleteGroup => "/api/v1/groups/{id}",
            Self::GetMembers => "/api/v1/groups/{id}/members",
            Self::ListAccounts => "/api/v1/accounts",
            Self::GetAccount => "/api/v1/accounts/{id}",
        }
    }

    pub(super) fn method(self) -> Method {
        match self {
            Self::CreateGroup => Method::POST,
            Self::UpdateGroup => Method::PUT,
            Self::DeleteGroup => Method::DELETE,
            _ => Method::GET,
        }
    }

    /// By which a write is documented to be answered when it was done.
    pub(super) fn success(self) -> &'static [u16] {
        match self {
            Self::CreateGroup => &[201],
            Self::DeleteGroup => &[204],
            // Whether it was done is looked at where the answer does not show it.
            Self::UpdateGroup => &[200, 204],
            _ => &[200],
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::ListGroups => "list groups",
            Self::GetGroup => "read a group",
            Self::CreateGroup => "create a group",
            Self::UpdateGroup => "rename a group",
            Self::DeleteGroup => "delete a group",
            Self::GetMembers => "read the members of a group",
            Self::ListAccounts => "list accounts",
            Self::GetAccount => "read an account",
        }
    }
}
