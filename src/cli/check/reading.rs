//! Reads what an import reads, as far as that is soon done. The smallest answer
//! of each kind may be in order where one entry of the whole is not, and an import
//! that meets such a one shows nobody.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{bad, good};
use crate::upstream::{Finding, RemoteGroup, Upstream, UpstreamError};

/// What is not read by then is not read.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of so many groups the members are read.
const GROUPS: usize = 5;

/// Where a reading ended.
enum End {
    Failed(UpstreamError),
    /// What there was no time for.
    Late(&'static str),
}

pub(super) async fn finding(upstream: &dyn Upstream) -> Finding {
    let reading = Reading {
        upstream,
        until: Instant::now() + PATIENCE,
    };
    match reading.whole().await {
        Ok(told) => good(&told),
        Err(End::Late(what)) => good(&format!(
            "what an import reads is more than is read in {} s: {what} not read to the end here, \
             so an import may still fail on that, which `drawbridge status` tells",
            PATIENCE.as_secs()
        )),
        Err(End::Failed(error)) => bad(
            &format!("it cannot be read as an import reads it: {error}"),
            "an import fails on this too, and shows nobody as long as it does: correct what is \
             told here, in the application or in [connection.upstream]",
        ),
    }
}

struct Reading<'a> {
    upstream: &'a dyn Upstream,
    until: Instant,
}

impl Reading<'_> {
    async fn whole(&self) -> Result<String, End> {
        let users = self.part("the users were", self.upstream.users()).await?;
        let groups = self.part("the groups were", self.upstream.groups()).await?;
        let profiles = self.part("the profiles were", self.upstream.profiles());
        match profiles.await {
            // An import does without them then.
            Err(End::Failed(error)) if !is_unclear(&error) => {}
            read => drop(read?),
        }
        let some = groups.iter().take(GROUPS);
        for group in some.clone() {
            self.members(group).await?;
        }
        Ok(format!(
            "an import can read it: {} users, {} groups, and the members of {} of them, which is \
             as many as are tried",
            users.len(),
            groups.len(),
            some.len()
        ))
    }

    async fn members(&self, group: &RemoteGroup) -> Result<(), End> {
        let read = self.upstream.members(&group.name);
        match self.part("the members of a group were", read).await {
            // It has gone meanwhile.
            Err(End::Failed(UpstreamError::Missing { .. })) => Ok(()),
            read => read.map(drop),
        }
    }

    async fn part<T>(
        &self,
        what: &'static str,
        read: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, End> {
        let read = timeout_at(self.until, read).await;
        read.map_err(|_| End::Late(what))?.map_err(End::Failed)
    }
}

fn is_unclear(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Later { .. } | UpstreamError::Unknown { .. }
    )
}
