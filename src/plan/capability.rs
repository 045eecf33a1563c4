//! Capabilities: one row per operation that says whether an application can
//! do it, in what batch, how sure we are, and if not, why not. Docs, schemas,
//! `check` and tests are made from this table.

use std::borrow::Cow;

use serde::Deserialize;

/// Of a group that import found: it is the application's to change.
pub const OURS_ONLY: &str = "only a Group that this bridge made, and none that import found";

/// The acts a bridge may need of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    CreateUser,
    DeactivateUser,
    ReactivateUser,
    RenameUser,
    SetRole,
    UpdateProfile,
    CreateGroup,
    RenameGroup,
    DeleteGroup,
    AddMembers,
    RemoveMembers,
    ReplaceMembers,
}

impl Act {
    pub const ALL: [Self; 12] = [
        Self::CreateUser,
        Self::DeactivateUser,
        Self::ReactivateUser,
        Self::RenameUser,
        Self::SetRole,
        Self::UpdateProfile,
        Self::CreateGroup,
        Self::RenameGroup,
        Self::DeleteGroup,
        Self::AddMembers,
        Self::RemoveMembers,
        Self::ReplaceMembers,
    ];

    /// What it is called, to administrators and identity providers.
    pub fn words(self) -> &'static str {
        match self {
            Self::CreateUser => "create a user",
            Self::DeactivateUser => "deactivate a user",
            Self::ReactivateUser => "activate a user again",
            Self::RenameUser => "rename a user",
            Self::SetRole => "set a user's role",
            Self::UpdateProfile => "change a user's profile",
            Self::CreateGroup => "create a group",
            Self::RenameGroup => "rename a group",
            Self::DeleteGroup => "delete a group",
            Self::AddMembers => "add members",
            Self::RemoveMembers => "remove members",
            Self::ReplaceMembers => "replace all members",
        }
    }

    /// Whether it changes users or members, and not groups as such.
    fn is_about_people(self) -> bool {
        !matches!(
            self,
            Self::CreateGroup | Self::RenameGroup | Self::DeleteGroup
        )
    }
}

/// Where a fact about an application comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    Documented,
    Assumed,
}

/// How an application is told whom or what an act is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifier {
    Name,
    Email,
    /// The application's own id.
    Id,
    /// Its own id where that is known, else the e-mail address.
    IdOrEmail,
}

impl Identifier {
    pub fn words(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "e-mail",
            Self::Id => "id",
            Self::IdOrEmail => "id or e-mail",
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    pub act: Act,
    pub able: bool,
    /// Most members in one call; 1 for acts on one thing, 0 for a creation that
    /// takes no members.
    pub batch: usize,
    pub by: Identifier,
    pub certainty: Certainty,
    /// Why not, or what to know; said to identity providers in these words.
    pub note: Cow<'static, str>,
}

impl Capability {
    /// The columns of a printed table: what, whether, how many in one call, by
    /// what, how sure that is, and what to know about it.
    pub fn columns(&self) -> [String; 6] {
        let able = |text: String| if self.able { text } else { String::new() };
        let certainty = match self.certainty {
            Certainty::Documented => "documented",
            Certainty::Assumed => "assumed",
        };
        [
            self.act.words().to_owned(),
            if self.able { "yes" } else { "no" }.to_owned(),
            able(self.batch.max(1).to_string()),
            able(self.by.words().to_owned()),
            certainty.to_owned(),
            self.note.to_string(),
        ]
    }
}

/// An application's whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    pub application: Cow<'static, str>,
    pub rows: Vec<Capability>,
}

impl Capabilities {
    /// The row of an act; an act without a row cannot be done.
    pub fn of(&self, act: Act) -> Option<&Capability> {
        self.rows.iter().find(|row| row.act == act)
    }

    pub fn can(&self, act: Act) -> bool {
        self.of(act).is_some_and(|row| row.able)
    }

    /// It cannot end an account, so it is told of the end of every membership
    /// instead.
    pub fn withdraws(&self) -> bool {
        !self.can(Act::DeactivateUser) && self.can(Act::RemoveMembers)
    }

    /// Neither users nor members are ever written: there is only what the
    /// application shows.
    pub fn only_shows(&self) -> bool {
        let mut able = self.rows.iter().filter(|row| row.able);
        !able.any(|row| row.act.is_about_people())
    }

    /// Why an act cannot be done, or what to know about it.
    pub fn note(&self, act: Act) -> &str {
        self.of(act).map_or("", |row| &*row.note)
    }

    /// The same, where it cannot be done: what is to be known of an act that can
    /// is no reason for a refusal.
    pub fn why_not(&self, act: Act) -> Option<&str> {
        (!self.can(act)).then(|| self.note(act))
    }

    /// Most members that a new group is given with its creation.
    pub fn first_members(&self) -> usize {
        let row = self.of(Act::CreateGroup).filter(|row| row.able);
        row.map_or(0, |row| row.batch)
    }

    /// The batch size of an act, at least 1.
    pub fn batch(&self, act: Act) -> usize {
        self.of(act).map_or(1, |row| row.batch.max(1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn table(able: &[Act]) -> Capabilities {
        let row = |act| Capability {
            act,
            able: able.contains(&act),
            batch: 3,
            by: Identifier::IdOrEmail,
            certainty: Certainty::Assumed,
            note: "ask for it".into(),
        };
        Capabilities {
            application: "Test".into(),
            rows: Act::ALL.into_iter().map(row).collect(),
        }
    }

    #[test]
    fn a_row_is_printed_in_words_and_how_only_of_what_can_be_done() {
        let can = table(&[Act::AddMembers]);
        let columns = |act| can.of(act).unwrap().columns();
        let able = [
            "add members",
            "yes",
            "3",
            "id or e-mail",
            "assumed",
            "ask for it",
        ];
        assert_eq!(columns(Act::AddMembers), able);
        assert_eq!(can.why_not(Act::AddMembers), None);
        assert_eq!(can.why_not(Act::DeleteGroup), Some("ask for it"));
        let unable = ["delete a group", "no", "", "", "assumed", "ask for it"];
        assert_eq!(columns(Act::DeleteGroup), unable);
    }

    #[test]
    fn what_only_shows_writes_no_user_and_no_member_whatever_it_does_with_groups() {
        use Act::{CreateGroup, DeleteGroup, RemoveMembers, RenameGroup, UpdateProfile};
        for able in [&[][..], &[CreateGroup, RenameGroup, DeleteGroup]] {
            assert!(table(able).only_shows(), "{able:?}");
        }
        for able in [RemoveMembers, UpdateProfile] {
            assert!(!table(&[CreateGroup, able]).only_shows(), "{able:?}");
        }
    }

    #[test]
    fn what_takes_out_members_and_ends_no_account_withdraws() {
        use Act::{DeactivateUser, RemoveMembers};
        assert!(table(&[RemoveMembers]).withdraws());
        for able in [&[][..], &[DeactivateUser], &[DeactivateUser, RemoveMembers]] {
            assert!(!table(able).withdraws(), "{able:?}");
        }
    }

    #[test]
    fn what_has_no_row_cannot_be_done_and_nothing_is_said_of_it() {
        let mut can = table(&[Act::CreateGroup, Act::AddMembers]);
        let asked = |can: &Capabilities, act| (can.can(act), can.batch(act), can.note(act).len());
        assert_eq!(asked(&can, Act::CreateGroup), (true, 3, "ask for it".len()));
        assert_eq!(can.first_members(), 3);
        can.rows.retain(|row| row.act != Act::CreateGroup);
        assert_eq!(asked(&can, Act::CreateGroup), (false, 1, 0));
        assert_eq!(
            (can.first_members(), can.note(Act::AddMembers)),
            (0, "ask for it")
        );
    }
}
