//! Users: create, replace, patch, delete.

use std::sync::Arc;

use super::{
    Failure, Session, Written, address, clock,
    converge::STANDS,
    held::Asked,
    lane::Settled,
    session::{Deadline, Waiting, known},
};
use crate::{
    plan::{
        capability::Act,
        state::{GroupKey, UserKey},
    },
    scim::{
        bulk::Verb,
        error::{Problem, ScimType},
        patch::Patch,
        resource::{Attributes, ResourceId, ResourceType::User, replaced},
    },
    store::{Actor, DecideUser, KEPT, Lane, Precondition, StoredUser, UserRow, UserWritten},
};

impl Session {
    /// Creates a User and, if it is active, its account.
    pub async fn create_user(&self, user: Attributes) -> Result<Written, Failure> {
        let session = self.clone();
        self.whole(async move { session.create_user_whole(user).await })
            .await
    }

    /// The row of a User to be created.
    pub(super) fn new_user(&self, mut user: Attributes) -> Result<UserRow, Problem> {
        self.demand(Act::CreateUser)?;
        let active = user.active();
        user.0.insert("active".into(), active.into());
        self.user_row(user, None)
    }

    async fn create_user_whole(&self, user: Attributes) -> Result<Written, Failure> {
        let row = self.new_user(user)?;
        let store = &self.bridge.store;
        let written = store
            .create_user(self.connection.key, clock::new_id(), row, self.actor())
            .await;
        let written = written.map_err(|e| self.write_failed(e, User, ""))?;
        self.settle_user(written).await
    }

    /// Replaces all attributes. Without `active` or `roles` the user stays as
    /// active and as powerful as it was: an omission must never give or take
    /// access. An empty list of roles does take it.
    pub async fn replace_user(
        &self,
        id: &str,
        user: Attributes,
        when: Precondition,
        body: &[u8],
    ) -> Result<Written, Failure> {
        let session = self.clone();
        let asked = Asked::new(Verb::Replace, User, id, (body, &when));
        self.judged(asked, move |id| async move {
            session.replace_user_whole(&id, user, when).await
        })
        .await
    }

    async fn replace_user_whole(
        &self,
        id: &str,
        user: Attributes,
        when: Precondition,
    ) -> Result<Written, Failure> {
        let decide = self.replacing_user(user.clone());
        let done = self.change_user(id, when.clone(), decide, true).await;
        let replaced = |stored: &StoredUser| self.replaced(stored, user.clone());
        if !self.has_moved(id, &done, replaced).await? {
            return done;
        }
        self.change_user(id, when, self.replacing_user(user), true)
            .await
    }

    pub(super) fn replacing_user(&self, user: Attributes) -> DecideUser {
        let session = self.clone();
        Box::new(move |stored| session.changed_row(session.replaced(stored, user)?, stored))
    }

    /// What a replacement makes of a user.
    pub(super) fn replaced(
        &self,
        stored: &StoredUser,
        user: Attributes,
    ) -> Result<Attributes, Problem> {
        let roles_unsaid = !user.0.contains_key("roles");
        let mut user = replaced(&stored.row.attributes, user, User, &self.schemas())?;
        if let Some(roles) = stored.row.attributes.0.get("roles")
            && roles_unsaid
        {
            user.0.insert("roles".into(), roles.clone());
        }
        let was = stored.row.account.active;
        user.0.entry("active").or_insert(was.into());
        Ok(user)
    }

    pub async fn patch_user(
        &self,
        id: &str,
        patch: Patch,
        when: Precondition,
        body: &[u8],
    ) -> Result<Written, Failure> {
        let session = self.clone();
        let asked = Asked::new(Verb::Patch, User, id, (body, &when));
        self.judged(asked, move |id| async move {
            session.patch_user_whole(&id, patch, when).await
        })
        .await
    }

    async fn patch_user_whole(
        &self,
        id: &str,
        patch: Patch,
        when: Precondition,
    ) -> Result<Written, Failure> {
        let decide = self.patching_user(patch.clone());
        let done = self.change_user(id, when.clone(), decide, false).await;
        let patched = |stored: &StoredUser| self.patched(stored, &patch);
        if !self.has_moved(id, &done, patched).await? {
            return done;
        }
        self.change_user(id, when, self.patching_user(patch), false)
            .await
    }

    pub(super) fn patching_user(&self, patch: Patch) -> DecideUser {
        let session = self.clone();
        Box::new(move |stored| session.changed_row(session.patched(stored, &patch)?, stored))
    }

    /// What a PATCH makes of a user.
    pub(super) fn patched(
        &self,
        stored: &StoredUser,
        patch: &Patch,
    ) -> Result<Attributes, Problem> {
        let mut user = stored.row.attributes.clone();
        patch.apply(&mut user, &stored.id, User, &self.schemas())?;
        // Taking the attribute away says nothing about access, and whoever
        // reads the user must still be told.
        let was = stored.row.account.active;
        user.0.entry("active").or_insert(was.into());
        Ok(user)
    }

    async fn change_user(
        &self,
        id: &str,
        when: Precondition,
        decide: DecideUser,
        put: bool,
    ) -> Result<Written, Failure> {
        let written = self.write_user(id, when, decide, put).await?;
        self.settle_user(written).await
    }

    async fn write_user(
        &self,
        id: &str,
        when: Precondition,
        decide: DecideUser,
        put: bool,
    ) -> Result<UserWritten, Failure> {
        let key = known(User, id)?;
        let store = &self.bridge.store;
        let actor = Actor {
            put,
            ..self.actor()
        };
        let written = store
            .change_user(self.connection.key, key, when, decide, actor)
            .await;
        written.map_err(|e| self.write_failed(e, User, id))
    }

    /// Takes the account away first, so that a refusal is an error and not a
    /// vanished user with access; then deletes the User and its memberships.
    pub async fn delete_user(&self, id: &str, when: Precondition) -> Result<(), Failure> {
        let session = self.clone();
        let asked = Asked::new(Verb::Delete, User, id, (&[], &when));
        self.judged(asked, move |id| async move {
            session.delete_user_whole(&id, when).await
        })
        .await
    }

    async fn delete_user_whole(&self, id: &str, when: Precondition) -> Result<(), Failure> {
        let (key, store) = (known(User, id)?, &self.bridge.store);
        let leaving = self.leaving_user();
        let named = when.if_match.is_some();
        let begun = store
            .begin_deletion(self.connection.key, key, when, leaving, self.actor())
            .await;
        let written = begun.map_err(|e| self.write_failed(e, User, id))?;
        let answered = match self.settle_user(written).await {
            Ok(_) => store
                .end_deletion(self.connection.key, key, named, self.actor())
                .await
                .map_err(|e| self.write_failed(e, User, id)),
            Err(Failure::Problem(problem)) => Err(Failure::Problem(not_deleted(problem))),
            Err(other) => Err(other),
        };
        if answered.is_err() {
            self.forget_deletions(vec![key]).await;
        }
        self.wake_after_deletion(&answered?);
        Ok(())
    }

    /// Of clients that were answered that their User is not deleted, a start deletes none.
    pub(super) async fn forget_deletions(&self, ids: Vec<ResourceId>) {
        let store = &self.bridge.store;
        if let Err(error) = store.forget_deletions(self.connection.key, ids).await {
            tracing::error!(%error, "a deletion that was not done may be done at the next start");
        }
    }

    /// The first step of a deletion: the account is taken away.
    pub(super) fn leaving_user(&self) -> DecideUser {
        let session = self.clone();
        let withdraws = self.connection.upstream.capabilities().withdraws();
        let able = if withdraws {
            Ok(())
        } else {
            self.demand(Act::DeactivateUser)
        };
        Box::new(move |stored| {
            let mut user = stored.row.attributes.clone();
            user.0.insert("active".into(), false.into());
            able.and_then(|()| session.changed_row(user, stored))
                .map_err(not_deleted)
        })
    }

    /// After the second step: what the deleted User was a member of, and itself.
    pub(super) fn wake_after_deletion(&self, written: &UserWritten) {
        self.ask_groups(&written.groups);
        if written.dirty {
            self.connection.lanes.ask(Lane::User(written.key));
        }
    }

    /// The row for changed attributes, or `None` when nothing changed.
    fn changed_row(
        &self,
        user: Attributes,
        stored: &StoredUser,
    ) -> Result<Option<UserRow>, Problem> {
        if user == stored.row.attributes && !self.may_follow(stored) {
            return Ok(None);
        }
        let row = self.user_row(user, Some(stored))?;
        Ok(Some(row).filter(|row| *row != stored.row))
    }

    /// Whether the user may be known by another address yet: none was found, and where
    /// accounts are made, none was asked for.
    fn may_follow(&self, stored: &StoredUser) -> bool {
        !stored.linked && (self.connection.upstream.finds_accounts() || !stored.asked_for)
    }

    fn user_row(
        &self,
        attributes: Attributes,
        stored: Option<&StoredUser>,
    ) -> Result<UserRow, Problem> {
        let mut projection = self.connection.upstream.project(&attributes)?;
        if let (Some(stored), None) = (stored, attributes.0.get("active")) {
            // Saying nothing about `active` (it was removed) neither gives nor
            // takes access.
            projection.account.active = stored.row.account.active;
        }
        let had_role = stored.is_some_and(|stored| stored.row.account.role.is_some());
        if had_role && projection.account.role.is_none() {
            // A role that is taken away must not stay in the application.
            let plain = self.connection.upstream.plain_role();
            projection.account.role = plain.map(str::to_owned);
        }
        let kept = stored.and_then(|s| s.row.account_key.clone());
        // The store keeps the one of whoever has an account, and knows that another was said.
        let says = |stored: &StoredUser| stored.linked || self.may_follow(stored);
        let account_key = if stored.is_some_and(says) {
            projection.key.or(kept)
        } else {
            kept.or(projection.key)
        };
        if account_key.is_none() && !self.policy().stage_users {
            return Err(Problem::bad(
                ScimType::InvalidValue,
                format!(
                    "{} knows accounts by e-mail address: userName or one of emails must be one",
                    self.application()
                ),
            ));
        }
        if let Some(stored) = stored {
            self.may_return(stored, projection.account.active)?;
            address::keeps(&*self.connection.upstream, stored, &attributes)?;
        }
        Ok(UserRow {
            attributes,
            account_key,
            account: projection.account,
        })
    }

    /// Reactivation of an account that was deactivated upstream is refused
    /// where the application has no documented way, unless configured.
    fn may_return(&self, stored: &StoredUser, active: bool) -> Result<(), Problem> {
        let can = self.connection.upstream.capabilities();
        let comes_back = active && !stored.row.account.active && stored.observed.deactivated;
        if !comes_back || self.policy().recreate || can.can(Act::ReactivateUser) {
            return Ok(());
        }
        let reason = can.note(Act::ReactivateUser);
        Err(Problem::bad(
            ScimType::Mutability,
            format!(
                "active cannot be set to true again: {reason}; reactivate the account in {} or set \
                 reactivate = \"recreate\" for this connection",
                self.application()
            ),
        ))
    }

    async fn settle_user(&self, written: UserWritten) -> Result<Written, Failure> {
        point!("user.committed");
        let waiting = self.wait_for_user(&written);
        point!("user.awaited");
        match self.user_answer(waiting, self.deadline()).await {
            Ok(pending) => self.user_settled(written, pending),
            Err(problem) => {
                if written.changed {
                    let version = written.resource.meta.version;
                    self.take_back(written.key, version, written.before).await;
                }
                self.ask_groups(&written.groups);
                Err(Failure::Problem(problem))
            }
        }
    }

    /// Wakes the lane of a written User; `None` when there is nothing to do. The lanes of
    /// groups are woken before, as a call may wait there that is to be sent no more.
    pub(super) fn wait_for_user(&self, written: &UserWritten) -> Option<Waiting> {
        self.ask_groups(&written.groups);
        let (lane, version) = (Lane::User(written.key), written.resource.meta.version);
        let lanes = &self.connection.lanes;
        written
            .dirty
            .then(|| lanes.wait(lane, version, Vec::new(), true))
    }

    pub(super) fn ask_groups(&self, groups: &[GroupKey]) {
        for group in groups {
            self.connection.lanes.ask(Lane::Group(*group));
        }
    }

    /// Whether the change is still open at the end of the wait; an error when
    /// the application refused it.
    pub(super) async fn user_answer(
        &self,
        waiting: Option<Waiting>,
        until: Deadline,
    ) -> Result<bool, Problem> {
        let Some(waiting) = waiting else {
            return Ok(false);
        };
        match self.answer(waiting, until).await {
            Some(Settled::Done) => Ok(false),
            Some(Settled::Open) | None => Ok(true),
            Some(Settled::Refused { whole, .. }) => {
                let refused = || format!("{} refused the change", self.application());
                Err(user_refused(&whole.unwrap_or_else(refused)))
            }
        }
    }

    /// Undoes a write that the application refused, if there is no later one.
    pub(super) async fn take_back(&self, key: UserKey, version: u64, before: Option<UserRow>) {
        let store = Arc::clone(&self.bridge.store);
        let undone = store.restore_user(key, version, before, self.actor()).await;
        if let Err(error) = undone {
            tracing::error!(%error, "a refused change of a user could not be taken back");
        }
        // Calls before the refused one may have to be undone too.
        self.connection.lanes.kick(Lane::User(key));
        if self.connection.upstream.has_families() {
            self.wake_open().await;
        }
    }

    pub(super) fn user_settled(
        &self,
        written: UserWritten,
        pending: bool,
    ) -> Result<Written, Failure> {
        if pending {
            self.open_is_fine()?;
        }
        self.ask_groups(&written.groups);
        Ok(Written {
            resource: written.resource,
            changed: written.changed,
            pending,
            skipped: Vec::new(),
        })
    }
}

/// A deletion begins with the end of the account, of which a refusal speaks;
/// whoever asked for a deletion is told of that.
pub(super) fn not_deleted(mut refused: Problem) -> Problem {
    refused.detail.insert_str(0, "the User was not deleted: ");
    refused
}

pub(super) fn user_refused(reason: &str) -> Problem {
    let detail = if reason.ends_with(STANDS) {
        reason.to_owned()
    } else {
        format!("{reason}; nothing was changed here")
    };
    if reason.contains(KEPT) {
        Problem::new(403, detail)
    } else if reason.contains("already") {
        Problem::taken(detail)
    } else {
        Problem::bad(ScimType::InvalidValue, detail)
    }
}
