//! The calls of a declared application: what a configuration can say of one, and
//! what each is by itself, whatever it says: its usual method, what it may and
//! must name, how urgent it is.

use std::{collections::BTreeMap, num::NonZeroUsize};

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use super::{
    body::{Body, Told},
    lists::Empty,
    outcomes,
    paging::Paging,
    pointer::Pointer,
    settings::{KnownBy, Member, Settings},
    template::{Holes, Path, Text},
};
use crate::upstream::client::{Meaning, Priority, Proof, refusal};

/// What can be asked of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    ListUsers,
    FindUser,
    CreateUser,
    DeactivateUser,
    ReactivateUser,
    ListGroups,
    FindGroup,
    CreateGroup,
    DeleteGroup,
    ListMembers,
    AddMembers,
    RemoveMembers,
    ReplaceMembers,
}

/// One call.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operation {
    pub method: Option<Verb>,
    pub path: Option<Path>,
    pub query: BTreeMap<String, Text>,
    pub body: Option<Body>,
    /// Most members in one call.
    pub batch: Option<NonZeroUsize>,
    /// Where the list or the one thing stands in the answer.
    pub items: Option<Pointer>,
    /// How an empty list is written there.
    pub empty: Option<Empty>,
    pub paging: Option<Paging>,
    /// Where the new thing's id stands in the answer.
    pub id: Option<Pointer>,
    /// The list of those members for whom it was done, or was not.
    pub applied: Option<Pointer>,
    pub failed: Option<Pointer>,
    /// How many members it was done for.
    pub applied_count: Option<Pointer>,
    /// No public document says that it can be done.
    pub assumed: bool,
}

impl Operation {
    /// By what its answer says that it was done: a list of those for whom it was,
    /// or was not, may stand where an error would. No list says that a group was
    /// made.
    pub(super) fn proof(&self, name: Name) -> Proof<'_> {
        match (&self.applied, &self.failed) {
            (None, None) => Proof::Any,
            (Some(_), _) if !name.creates() => Proof::Listed,
            (_, failed) => Proof::Excepted(failed.as_ref().map(Pointer::as_str)),
        }
    }

    /// What the success of a creation means that tells an error. One that names none
    /// of the members is of the group; beside what was made, that is looked for.
    pub(super) fn beside_what_is_made(
        &self,
        name: Name,
        (status, body): (StatusCode, &[u8]),
        told: &[Told],
        shape: &Member,
    ) -> Option<Meaning> {
        if !name.creates() || !status.is_success() {
            return None;
        }
        let answer = serde_json::from_slice(body).ok()?;
        let is_error = |at: &&Pointer| at.is_in("error") || at.is_in("errors");
        let failed = self.failed.as_ref().filter(is_error);
        let named = failed.is_none_or(|at| outcomes::explains(&answer, at, told, shape));
        let meaning = match self.proof(name).lacks(status, body) {
            None if !named => refusal(&answer),
            meaning => meaning?,
        };
        let made = meaning == Meaning::Rejected && self.shows_made(&answer);
        Some(if made { Meaning::Unknown } else { meaning })
    }

    /// Whether the answer to a creation shows what was made, or somebody in it.
    fn shows_made(&self, answer: &Value) -> bool {
        let list = self.applied.as_ref().and_then(|at| at.of(answer));
        let list = list.and_then(Value::as_array);
        let id = self.id.as_ref().and_then(|at| at.text(answer));
        id.is_some() || list.is_some_and(|list| !list.is_empty())
    }
}

/// A method of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verb(pub Method);

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.as_str() {
            "GET" | "POST" | "PUT" | "PATCH" | "DELETE" => Method::from_bytes(text.as_bytes())
                .map(Self)
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(format!(
                "{text:?} is no method that is known; write one of GET, POST, PUT, PATCH, DELETE"
            ))),
        }
    }
}

impl Name {
    pub(super) const ALL: [Self; 13] = [
        Self::ListUsers,
        Self::FindUser,
        Self::CreateUser,
        Self::DeactivateUser,
        Self::ReactivateUser,
        Self::ListGroups,
        Self::FindGroup,
        Self::CreateGroup,
        Self::DeleteGroup,
        Self::ListMembers,
        Self::AddMembers,
        Self::RemoveMembers,
        Self::ReplaceMembers,
    ];

    /// Its spelling in the configuration.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::ListUsers => "list_users",
            Self::FindUser => "find_user",
            Self::CreateUser => "create_user",
            Self::DeactivateUser => "deactivate_user",
            Self::ReactivateUser => "reactivate_user",
            Self::ListGroups => "list_groups",
            Self::FindGroup => "find_group",
            Self::CreateGroup => "create_group",
            Self::DeleteGroup => "delete_group",
            Self::ListMembers => "list_members",
            Self::AddMembers => "add_members",
            Self::RemoveMembers => "remove_members",
            Self::ReplaceMembers => "replace_members",
        }
    }

    pub(super) fn words(self) -> String {
        self.key().replace('_', " ")
    }

    /// A replacement may take access away, so it goes with the removals.
    pub(super) fn priority(self) -> Priority {
        match self {
            Self::DeactivateUser
            | Self::DeleteGroup
            | Self::RemoveMembers
            | Self::ReplaceMembers => Priority::Revocation,
            _ => Priority::Ordinary,
        }
    }

    /// What changes something there, whatever its method.
    pub(super) fn writes(self) -> bool {
        !matches!(
            self,
            Self::ListUsers
                | Self::FindUser
                | Self::ListGroups
                | Self::FindGroup
                | Self::ListMembers
        )
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::ListUsers | Self::ListGroups | Self::ListMembers)
    }

    pub(super) fn is_search(self) -> bool {
        matches!(self, Self::FindUser | Self::FindGroup)
    }

    pub(super) fn creates(self) -> bool {
        matches!(self, Self::CreateUser | Self::CreateGroup)
    }

    /// It changes who is in a group that is there.
    pub(super) fn changes_members(self) -> bool {
        matches!(
            self,
            Self::AddMembers | Self::RemoveMembers | Self::ReplaceMembers
        )
    }

    fn usual_method(self) -> Method {
        match self {
            Self::CreateUser | Self::ReactivateUser | Self::CreateGroup | Self::AddMembers => {
                Method::POST
            }
            Self::DeactivateUser | Self::DeleteGroup | Self::RemoveMembers => Method::DELETE,
            Self::ReplaceMembers => Method::PUT,
            _ => Method::GET,
        }
    }

    /// What can be filled in, where users and groups are known by this.
    pub(super) fn may_hold(self, hole: &str, settings: &Settings) -> bool {
        let user_by_id = settings.user.known_by == KnownBy::Id;
        let group_by_id = settings.group.known_by == KnownBy::Id;
        let (thing, part) = hole.split_once('.').unwrap_or((hole, ""));
        match (self, thing, part) {
            (Self::CreateGroup, "group", part) => part == "name",
            (Self::FindGroup, "group", part) => part == if group_by_id { "id" } else { "name" },
            (Self::FindUser, "user", part) => part == if user_by_id { "id" } else { "account" },
            (Self::DeleteGroup | Self::ListMembers, "group", part) => part == "id" || !group_by_id,
            (_, "group", part) if self.changes_members() => part == "id" || !group_by_id,
            (Self::DeactivateUser | Self::ReactivateUser, "user", part) => {
                part == "id" || (part == "account" && !user_by_id)
            }
            (Self::CreateUser, "user", part) => part != "id",
            (_, "member", part) if self.changes_members() || self == Self::CreateGroup => {
                part == "id" || !user_by_id
            }
            _ => false,
        }
    }

    /// The kinds of things that have to be named, each by one placeholder at
    /// least: without it, the call would be about everything.
    pub(super) fn must_hold(self) -> &'static [&'static str] {
        match self {
            Self::ListUsers | Self::ListGroups => &[],
            Self::FindUser | Self::CreateUser | Self::DeactivateUser | Self::ReactivateUser => {
                &["user"]
            }
            Self::FindGroup | Self::CreateGroup | Self::DeleteGroup | Self::ListMembers => {
                &["group"]
            }
            Self::AddMembers | Self::RemoveMembers | Self::ReplaceMembers => &["group", "member"],
        }
    }
}

impl Operation {
    pub(super) fn method(&self, name: Name) -> Method {
        let said = self.method.as_ref().map(|verb| verb.0.clone());
        said.unwrap_or_else(|| name.usual_method())
    }

    /// Whether answers say for whom it was done, or for how many.
    pub(super) fn tells_members(&self) -> bool {
        let told = [&self.applied, &self.failed, &self.applied_count];
        told.into_iter().any(Option::is_some)
    }

    /// Everything that is filled in anywhere.
    pub(super) fn holes(&self) -> Holes {
        let mut holes = self.path.as_ref().map(Path::holes).unwrap_or_default();
        holes.extend(self.query.values().flat_map(Text::holes));
        holes.extend(self.body.iter().flat_map(Body::holes));
        holes
    }

    /// Members that one call can name: none, one, or as many as a list in its
    /// body may hold.
    pub(super) fn most_members(&self) -> usize {
        let lists = self.body.as_ref().is_some_and(Body::has_list_of_members);
        if lists {
            return self.batch.map_or(100, usize::from);
        }
        let named = self.holes().iter().any(|hole| hole.starts_with("member."));
        usize::from(named)
    }
}
