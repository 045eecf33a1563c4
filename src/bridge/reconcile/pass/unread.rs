//! Groups whose members cannot be read: they keep nobody from the others. They are
//! looked at once more, later than a read can lag, and what cannot be read then is
//! told by its name and counts as not compared.
use std::collections::HashSet;

use super::{Failure, GroupDrift, Pass, Reconcilable, Unasked};
use crate::upstream::UpstreamError;

impl Pass<'_> {
    /// Reads those again that could not be read.
    pub(super) async fn look_again(&mut self, aside: Vec<Reconcilable>) -> Result<(), Failure> {
        if aside.is_empty() {
            return Ok(());
        }
        self.until_a_read_cannot_lag().await;
        let names: HashSet<String> = self.group_names().await?;
        for group in aside {
            let Some(error) = self.group(&group, names.contains(&group.name)).await? else {
                continue;
            };
            self.found.groups_unread += 1;
            tracing::warn!(
                connection = %self.session.connection.name, group = %group.id, %error,
                "the members of a group cannot be read; it is left as it is"
            );
            let why = format!("it could not be read ({error}), so nothing is known of it");
            let nothing = (&GroupDrift::default(), Unasked::default());
            self.tell(&group, &[], nothing, Some(&why));
            // None of several is no matter of one.
            self.failed = Some(error);
        }
        match &self.failed {
            Some(error) if !self.reads.any => Err(self.unreadable(error)),
            _ => Ok(()),
        }
    }

    /// Gives back a failure that says nothing of the other groups; else the reading
    /// ends.
    pub(super) async fn of_one_group(
        &self,
        error: UpstreamError,
    ) -> Result<UpstreamError, Failure> {
        let upstream = self.session.connection.upstream.as_ref();
        let of_one = self.reads.of_one_group(upstream, error).await;
        of_one.map_err(|error| self.unreadable(&error))
    }
}
