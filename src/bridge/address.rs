//! The address of a user whose account was found by it: where an application has
//! no way to change it, another one would be somebody else's, and whatever is
//! asked for later would be done to the old one. So it is refused, with the
//! reason that the table of capabilities has, unless the account has that
//! address in the application by now, or the user leaves. Any other attribute may change, and an
//! address may of whoever is not linked to an account yet.

use super::{Failure, Session, Written, session::store_failed};
use crate::{
    plan::capability::Act,
    scim::{
        error::{Problem, ScimType},
        filter::fold_case,
        resource::{Attributes, ResourceId},
    },
    store::StoredUser,
    upstream::Upstream,
};

/// Whether a change of a user leaves the address alone, or may change it.
pub(super) fn keeps(
    upstream: &dyn Upstream,
    stored: &StoredUser,
    user: &Attributes,
) -> Result<(), Problem> {
    if !is_fixed(upstream) || departs(upstream, stored, user).is_none() {
        return Ok(());
    }
    let can = upstream.capabilities();
    let back = if stored.row.account.active {
        ""
    } else {
        "; write that address back with active: true, or delete the User and make another"
    };
    Err(Problem::bad(
        ScimType::Mutability,
        format!(
            "the e-mail address of a user whom {} knows as {:?} cannot be changed: {}{back}",
            can.application,
            stored.row.account_key.as_deref().unwrap_or_default(),
            can.note(Act::RenameUser)
        ),
    ))
}

/// Whether the application has no way to change addresses by which it is found
/// who is who.
pub(super) fn is_fixed(upstream: &dyn Upstream) -> bool {
    upstream.finds_accounts() && !upstream.capabilities().can(Act::RenameUser)
}

/// The address that a change gives a user who is linked to an account with
/// another one.
fn departs(upstream: &dyn Upstream, stored: &StoredUser, user: &Attributes) -> Option<String> {
    let is = stored.row.account_key.as_deref().unwrap_or_default();
    let next = if !stored.linked || !user.active() {
        // Who leaves is ended by the account that was linked, whatever the
        // address; coming back is when it counts again.
        None
    } else if !stored.row.account.active && !user.emails().is_empty() {
        upstream.project(user).ok().and_then(|it| it.key)
    } else {
        said(upstream, &stored.row.attributes, user)
    };
    next.filter(|address| !is.is_empty() && address != is)
}

/// The address that a change says of a user, which may be the one that it is linked
/// by. One that is only not said any more stays, and a change of something else
/// says none. That `emails` say now what only `userName` has said is a change.
fn said(upstream: &dyn Upstream, before: &Attributes, after: &Attributes) -> Option<String> {
    let key = |user: &Attributes| upstream.project(user).ok()?.key;
    let named = |user: &Attributes| user.text("userName").map(fold_case);
    let silent = |user: &Attributes| user.emails().is_empty();
    let unsaid = silent(after) && named(before) == named(after);
    let same = key(before) == key(after) && silent(before) == silent(after);
    key(after).filter(|_| !unsaid && !same)
}

impl Session {
    /// Whether a change was refused that may be done now: the account has the
    /// new address in the application already, and the user follows it.
    pub(super) async fn has_moved(
        &self,
        id: &str,
        done: &Result<Written, Failure>,
        change: impl FnOnce(&StoredUser) -> Result<Attributes, Problem>,
    ) -> Result<bool, Failure> {
        let refused = matches!(done, Err(failure) if is_refusal(failure));
        if !refused || !is_fixed(&*self.connection.upstream) {
            return Ok(false);
        }
        self.follow(id, change).await
    }

    /// Has a user follow its account to the address that a change would give it,
    /// if the account has that one by now; an error when nobody can tell yet.
    pub(super) async fn follow(
        &self,
        id: &str,
        change: impl FnOnce(&StoredUser) -> Result<Attributes, Problem>,
    ) -> Result<bool, Failure> {
        let Some(Moved { user, account, to }) = self.moved(id, change).await? else {
            return Ok(false);
        };
        let (key, store) = (self.connection.key, &self.bridge.store);
        let followed = store.follow(key, user, account, to, self.actor()).await;
        followed.map_err(store_failed)
    }

    /// The account that has the address by now that a change would give its user.
    pub(super) async fn moved(
        &self,
        id: &str,
        change: impl FnOnce(&StoredUser) -> Result<Attributes, Problem>,
    ) -> Result<Option<Moved>, Failure> {
        let (upstream, store) = (&self.connection.upstream, &self.bridge.store);
        let (key, Some(user)) = (self.connection.key, ResourceId::exact(id)) else {
            return Ok(None);
        };
        let stored = store.stored_user(key, user).await.map_err(store_failed)?;
        // What is wrong with the change itself is told by the change.
        let address = stored.and_then(|stored| {
            let user = change(&stored).ok()?;
            departs(&**upstream, &stored, &user)
        });
        let Some(to) = address else {
            return Ok(None);
        };
        let found = upstream.user(&to).await;
        let found = found.map_err(|error| self.unreadable(&error))?;
        let account = found.and_then(|found| found.upstream_id);
        Ok(account.map(|account| Moved { user, account, to }))
    }
}

/// An account, by its id, that the application knows by another address than the
/// user has here who may be linked to it.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    pub(super) user: ResourceId,
    pub(super) account: String,
    pub(super) to: String,
}

/// Whether a change was refused for what must not change.
pub(super) fn is_refusal(failure: &Failure) -> bool {
    matches!(failure, Failure::Problem(problem)
        if problem.scim_type == Some(ScimType::Mutability))
}
