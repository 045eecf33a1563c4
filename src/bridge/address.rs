//! The address of a user whose account was found by it: where an application has
//! no way to change it, another one would be somebody else's, and whatever is
//! asked for later would be done to the old one. So it is refused, with the
//! reason that the table of capabilities has, unless the account has that
//! address in the application by now, or the user leaves. Any other attribute may change, and an
//! address may of whoever is not linked to an account yet.

use super::{Failure, Session, Written};
use crate::{
    plan::capability::Act,
    scim::{
        error::{Problem, ScimType},
        filter::fold_case,
        resource::{Attributes, ResourceId, ResourceType::User},
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
    let can = upstream.capabilities();
    if !upstream.finds_accounts() || !stored.linked || can.can(Act::RenameUser) {
        return Ok(());
    }
    let is = stored.row.account_key.as_deref().unwrap_or_default();
    let next = if !user.active() {
        // Who leaves is ended by the account that was linked, whatever the
        // address; coming back is when it counts again.
        None
    } else if !stored.row.account.active && !user.emails().is_empty() {
        upstream.project(user).ok().and_then(|it| it.key)
    } else {
        moved(upstream, &stored.row.attributes, user)
    };
    match next {
        Some(address) if !is.is_empty() && address != is => Err(Problem::bad(
            ScimType::Mutability,
            format!(
                "the e-mail address of a user whom {} knows as {is:?} cannot be changed: {}",
                can.application,
                can.note(Act::RenameUser)
            ),
        )),
        _ => Ok(()),
    }
}

/// The address that a change gives a user, if it gives another one. One that is
/// only not said any more stays.
fn moved(upstream: &dyn Upstream, before: &Attributes, after: &Attributes) -> Option<String> {
    let key = |user: &Attributes| upstream.project(user).ok()?.key;
    let named = |user: &Attributes| user.text("userName").map(fold_case);
    let unsaid = after.emails().is_empty() && named(before) == named(after);
    key(after).filter(|address| !unsaid && key(before).as_ref() != Some(address))
}

impl Session {
    /// Whether a change was refused that may be done now: the account has the
    /// new address in the application already, and the user follows it.
    pub(super) async fn has_moved(
        &self,
        id: &str,
        done: &Result<Written, Failure>,
        change: impl FnOnce(&Attributes) -> Result<Attributes, Failure>,
    ) -> bool {
        let refused = matches!(done, Err(Failure::Problem(problem))
            if problem.scim_type == Some(ScimType::Mutability));
        let upstream = &self.connection.upstream;
        if !refused || !upstream.finds_accounts() {
            return false;
        }
        let followed = self.follow(id, change).await;
        followed.is_some_and(|followed| followed)
    }

    async fn follow(
        &self,
        id: &str,
        change: impl FnOnce(&Attributes) -> Result<Attributes, Failure>,
    ) -> Option<bool> {
        let (upstream, store) = (&self.connection.upstream, &self.bridge.store);
        let (id, key) = (ResourceId::parse(id)?, self.connection.key);
        let stored = store.resource(key, User, id).await.ok()??;
        let before: Attributes = serde_json::from_str(&stored.attributes).ok()?;
        let address = moved(&**upstream, &before, &change(&before).ok()?)?;
        let account = upstream.user(&address).await.ok()??.upstream_id?;
        let followed = store.follow(key, id, account, address, self.actor()).await;
        followed
            .inspect_err(|error| tracing::error!(%error, "an address could not be followed"))
            .ok()
    }
}
