//! What groups are called in the application that were made from here and have ids
//! there: by somebody's hand it may be otherwise than is said here. That is told, and
//! put right with whatever else is.

use std::collections::HashMap;

use super::{
    super::super::session::store_failed, DriftPolicy, Failure, GroupDrift, Pass, Purpose,
    Reconcilable, Unasked,
};
use crate::{plan::capability::Act, upstream::RemoteGroup};

const CALLED_OTHERWISE: &str = "somebody has given it another name in the application; \
    `drawbridge reconcile --apply` gives it the one that it has here, or change that one here";

impl Pass<'_> {
    /// Of each group that is listed what it is called, by the application's name for it.
    pub(super) async fn titles(&self) -> Result<HashMap<String, String>, Failure> {
        let listed = self.session.connection.upstream.groups().await;
        let listed = listed.map_err(|error| self.unreadable(&error))?;
        let listed = listed.into_iter();
        Ok(listed
            .map(|it| (it.name.clone(), self.called(&it)))
            .collect())
    }

    fn called(&self, group: &RemoteGroup) -> String {
        let shown = self.session.connection.upstream.group_attributes(group);
        let title = shown.text("displayName").unwrap_or_default();
        title.trim().to_owned()
    }

    pub(super) async fn compare_title(
        &mut self,
        group: &Reconcilable,
        titles: &HashMap<String, String>,
    ) -> Result<(), Failure> {
        let Some((title, listed)) = group.title.as_ref().zip(titles.get(&group.name)) else {
            return Ok(());
        };
        if self.purpose == Purpose::Look || listed == title.trim() {
            return Ok(());
        }
        // Of several that are called the same the list may tell all but one apart.
        self.until_a_read_cannot_lag().await;
        let upstream = &self.session.connection.upstream;
        let Ok(Some(now)) = upstream.group(&group.name).await else {
            return Ok(());
        };
        if self.called(&now) == title.trim() {
            return Ok(());
        }
        let can = upstream.capabilities().can(Act::RenameGroup);
        let repairs = self.repairs() && self.session.connection.policy.drift == DriftPolicy::Repair;
        if repairs && can {
            let store = &self.session.bridge.store;
            let again = store.call_again(group.group, title.clone(), self.since, self.actor());
            self.wake(again.await.map_err(store_failed)?);
            tracing::warn!(
                connection = %self.session.connection.name, group = %group.id,
                "a group had another name in the application and is given the one that it has here"
            );
            return Ok(());
        }
        let nothing = (&GroupDrift::default(), Unasked::default());
        self.tell(group, &[], nothing, Some(CALLED_OTHERWISE));
        Ok(())
    }
}
