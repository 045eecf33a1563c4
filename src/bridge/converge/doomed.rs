//! A group that is about to be deleted there, where the guard rails want to know who
//! is in it now.

use super::{
    groups::{Next, Turn},
    pause_after,
};
use crate::{
    plan::{operation::Operation, state::Existence},
    upstream::UpstreamError,
};

impl Turn<'_> {
    /// What to do instead of an operation that deletes the group.
    pub(super) async fn kept(&mut self, operation: &Operation) -> Option<Next> {
        let Operation::DeleteGroup { name } = operation else {
            return None;
        };
        if !self.since.looks_into() {
            return None;
        }
        let listed = match self.upstream.members(name).await {
            Ok(listed) => listed,
            // What answers the deletion is the proof.
            Err(UpstreamError::Missing { .. }) => return None,
            Err(error) => {
                let group = &self.work.id;
                tracing::info!(%group, %error, "who is in a group that is to be deleted cannot be read");
                self.since.cannot_look();
                return Some(Next::Stop(pause_after(&error)));
            }
        };
        match self.since.keeps(self.work.id, listed).await {
            Ok(None) => None,
            Ok(Some(reason)) => {
                self.learned.existence = Some(Existence::Present);
                self.learned.group_refused = Some(reason);
                Some(Next::GoOn)
            }
            Err(error) => {
                tracing::error!(%error, "a lane cannot use the store");
                Some(Next::Stop(super::Pause::BackOff))
            }
        }
    }
}
