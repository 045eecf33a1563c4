//! Groups whose members cannot be read: they keep nobody from the others. They are
//! looked at once more, later than a read can lag, and what cannot be read then is
//! told by its name and counts as not compared.
//!
//! An application that is down as a whole ends the reading: when it is, the circuit
//! of the shared client says, and so does a reading of which nothing came. That calls
//! of one kind fail, as some reads of members do, ends none of which anything came
//! lately: each of them then waits for its try. One that asks for a pause whenever a
//! certain group is read, and takes other calls after that, is not down either.

use std::collections::HashSet;

use super::{Failure, GroupDrift, Pass, Reconcilable, Unasked};
use crate::upstream::UpstreamError;

/// With reads stopped, so many groups in a row that cannot be read end the reading.
const IN_A_ROW: u64 = 40;

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
            Some(error) if !self.read_any => Err(self.unreadable(error)),
            _ => Ok(()),
        }
    }

    /// Gives back a failure that says nothing of the other groups; else the reading
    /// ends. That a pause was asked for says nothing of them where the next call, one
    /// of another kind, is taken.
    pub(super) async fn of_one_group(
        &self,
        error: UpstreamError,
    ) -> Result<UpstreamError, Failure> {
        if error.is_put_off() && self.in_a_row < IN_A_ROW && !self.only_shown() {
            self.group_names().await?;
            return Ok(error);
        }
        if self.is_of_one_group(&error) {
            return Ok(error);
        }
        Err(self.unreadable(&error))
    }

    fn is_of_one_group(&self, error: &UpstreamError) -> bool {
        let upstream = &self.session.connection.upstream;
        let some_can_be_read = || {
            let condition = upstream.condition();
            !condition.unreachable
                || self.read_any && self.in_a_row < IN_A_ROW && !condition.is_all_down
        };
        let of_one = match error {
            UpstreamError::Later { .. } => error.is_stopped() && some_can_be_read(),
            UpstreamError::Denied { .. } => !upstream.is_refused_all(),
            UpstreamError::Unknown { .. } => some_can_be_read(),
            _ => true,
        };
        // What is only shown is read from lists of everything.
        of_one && !self.only_shown()
    }
}
