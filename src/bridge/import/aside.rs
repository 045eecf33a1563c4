//! Groups whose members cannot be read: they keep nobody from the others. What is
//! known of them stays as it is (reliability: I-22), the status names them, and where
//! the reason may pass they are read again soon.

use std::{mem, time::Duration};

use super::{
    super::{Connection, Failure, Session, reads::Reads},
    AFTER_FAILURE,
};
use crate::upstream::{RemoteGroup, RemoteMember, UpstreamError};

/// An import that left a group aside again and again is done again after this at most.
const LONGEST: Duration = Duration::from_secs(3600);

type Read = (RemoteGroup, Vec<RemoteMember>);

/// A group that is there and whose members could not be read by the last import:
/// what is known of it is of before.
#[derive(Debug, Clone, PartialEq)]
pub struct UnreadGroup {
    /// The application's name for it.
    pub name: String,
    /// Its displayName.
    pub shown_as: String,
    pub error: UpstreamError,
}

/// Whether a failure to read may be over by itself.
fn passes(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Later { .. } | UpstreamError::Unknown { .. }
    )
}

/// Sooner where a group could not be read for a reason that may pass: in a minute,
/// and later each time that it does not help.
pub(super) fn sooner(next: Option<Duration>, aside: u32) -> Option<Duration> {
    let Some(tries) = aside.checked_sub(1) else {
        return next;
    };
    let again = AFTER_FAILURE.saturating_mul(1 << tries.min(6));
    let again = again.min(LONGEST);
    Some(next.map_or(again, |next| next.min(again)))
}

impl Connection {
    fn note_unread(&self, groups: Vec<UnreadGroup>) {
        self.unread.send_replace(groups);
    }

    /// Groups whose members the last import could not read.
    pub fn unread_groups(&self) -> Vec<UnreadGroup> {
        self.unread.borrow().clone()
    }

    pub(super) fn unread_passes(&self) -> bool {
        self.unread
            .borrow()
            .iter()
            .any(|group| passes(&group.error))
    }
}

impl Session {
    /// Groups whose members the last import could not read.
    pub fn unread_groups(&self) -> Vec<UnreadGroup> {
        self.connection.unread_groups()
    }

    /// The members of all that can be read. `progress` is told how many were tried.
    pub(super) async fn read_groups(
        &self,
        groups: &[RemoteGroup],
        progress: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<Vec<Read>, Failure> {
        let mut reads = Reads::after(false);
        let (mut read, mut aside) = (Vec::with_capacity(groups.len()), Vec::new());
        for (done, group) in groups.iter().enumerate() {
            progress(done);
            if group.unreadable {
                read.push((group.clone(), Vec::new()));
                continue;
            }
            match self.members_read(group, &mut reads).await? {
                Ok(members) => read.push((group.clone(), members)),
                Err(error) => aside.push((group, error)),
            }
        }
        let unread = self.read_once_more(aside, &mut read, &mut reads).await?;
        progress(groups.len());
        self.tell_unread(&unread, reads)?;
        self.connection.note_unread(unread);
        Ok(read)
    }

    /// Of one group, or why it alone cannot be read.
    async fn members_read(
        &self,
        group: &RemoteGroup,
        reads: &mut Reads,
    ) -> Result<Result<Vec<RemoteMember>, UpstreamError>, Failure> {
        let upstream = self.connection.upstream.as_ref();
        let error = match upstream.members(&group.name).await {
            Ok(members) => {
                reads.read();
                return Ok(Ok(members));
            }
            Err(error) => error,
        };
        // Of what excludes each other a part would be taken for the whole.
        if passes(&error) && group.family.is_some() {
            return Err(self.unreadable(&error));
        }
        let of_one = reads.of_one_group(upstream, error).await;
        let error = of_one.map_err(|error| self.unreadable(&error))?;
        reads.failed();
        Ok(Err(error))
    }

    /// Groups that could not be read for a reason that may pass are looked at once
    /// more, later than a read can lag; gives back those that cannot be read at all.
    async fn read_once_more(
        &self,
        aside: Vec<(&RemoteGroup, UpstreamError)>,
        read: &mut Vec<Read>,
        reads: &mut Reads,
    ) -> Result<Vec<UnreadGroup>, Failure> {
        let mut waited = false;
        let mut unread = Vec::new();
        for (group, mut error) in aside {
            if passes(&error) {
                if !mem::replace(&mut waited, true) {
                    tokio::time::sleep(self.policy().read_lag).await;
                }
                match self.members_read(group, reads).await? {
                    Ok(members) => {
                        read.push((group.clone(), members));
                        continue;
                    }
                    Err(again) => error = again,
                }
            }
            unread.push(UnreadGroup {
                name: group.name.clone(),
                shown_as: self.connection.upstream.shown_as(group),
                error,
            });
        }
        Ok(unread)
    }

    fn tell_unread(&self, unread: &[UnreadGroup], reads: Reads) -> Result<(), Failure> {
        let Some(UnreadGroup { error, .. }) = unread.last() else {
            return Ok(());
        };
        // None of several is no matter of one.
        if !reads.any && unread.len() > 1 {
            return Err(self.unreadable(error));
        }
        tracing::warn!(
            connection = %self.connection.name, groups = unread.len(), %error,
            "groups whose members cannot be read are left as they are; the status names them"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_aside_is_read_soon_and_later_each_time_that_it_does_not_help() {
        let seconds = |next, aside| sooner(next, aside).map(|it: Duration| it.as_secs());
        assert_eq!(seconds(None, 0), None);
        let after: Vec<_> = (1..9).map(|aside| seconds(None, aside)).collect();
        let minutes = [1, 2, 4, 8, 16, 32, 60, 60].map(|it| Some(it * 60));
        assert_eq!(after, minutes);
        assert_eq!(seconds(None, u32::MAX), Some(3600));
        let often = Some(Duration::from_secs(300));
        assert_eq!(seconds(often, 0), Some(300));
        assert_eq!(seconds(often, 1), Some(60));
        assert_eq!(seconds(often, 5), Some(300));
    }
}
