//! Reads what an import reads, as far as that is soon done. The smallest answer
//! of each kind may be in order where one entry of the whole is not, and an import
//! that meets such a one shows nobody, or leaves a group as it was.

use std::{cell::Cell, time::Duration};

use tokio::time::timeout;

use super::{super::screen::called, bad, good};
use crate::{
    bridge::{LeftAside, left_aside},
    upstream::{Finding, RemoteGroup, Upstream, UpstreamError},
};

/// What is not read by then is not read.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many are named of what is left aside.
const NAMED: usize = 5;
/// Of so many groups the members are read.
const GROUPS: usize = 5;

pub(super) async fn findings(upstream: &dyn Upstream) -> Vec<Finding> {
    let reading = Cell::new("users");
    match timeout(PATIENCE, whole(upstream, &reading)).await {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => vec![bad(
            &format!("it cannot be read as an import reads it: {error}"),
            "an import fails on this too, and shows nobody as long as it does: correct what is \
             told here, in the application or in [connection.upstream]",
        )],
        Err(_) => vec![good(&format!(
            "what an import reads is more than is read here in {} s, which ended with the {}; so \
             an import may still fail, which `drawbridge status` tells",
            PATIENCE.as_secs(),
            reading.get()
        ))],
    }
}

/// Notes what it reads.
async fn whole(
    upstream: &dyn Upstream,
    reading: &Cell<&str>,
) -> Result<Vec<Finding>, UpstreamError> {
    let users = upstream.users().await?;
    reading.set("groups");
    let groups = upstream.groups().await?;
    reading.set("profiles");
    // An import does without them where they cannot be had.
    if let Err(error @ (UpstreamError::Later { .. } | UpstreamError::Unknown { .. })) =
        upstream.profiles().await
    {
        return Err(error);
    }
    reading.set("members");
    let readable = groups.iter().filter(|group| !group.unreadable);
    let some: Vec<&RemoteGroup> = readable.take(GROUPS).collect();
    let mut unread = Vec::new();
    for group in &some {
        unread.extend(
            unreadable(upstream, group)
                .await?
                .map(|error| (group, error)),
        );
    }
    // None of several is no matter of one.
    if unread.len() > 1 && unread.len() == some.len() {
        return Err(unread.swap_remove(0).1);
    }
    let mut told = vec![good(&format!(
        "an import can read it: {} users, {} groups, and the members of {} of them; {} were \
         tried",
        users.len(),
        groups.len(),
        some.len() - unread.len(),
        some.len()
    ))];
    let aside = left_aside(upstream, &users, &groups);
    if !aside.is_empty() {
        let named: Vec<String> = aside.iter().take(NAMED).map(LeftAside::told).collect();
        let more = if aside.len() > NAMED {
            "; and others"
        } else {
            ""
        };
        told.push(good(&format!(
            "an import leaves aside, as it is, what cannot be told apart: {}{more}",
            named.join("; ")
        )));
    }
    told.extend(unread.into_iter().map(|(group, error)| {
        let called = called(&group.name, &upstream.shown_as(group));
        bad(
            &format!("the members of the group {called} cannot be read: {error}"),
            "an import leaves this group as it was and reads all the others: correct it in the \
             application, or give the token the right to it",
        )
    }));
    Ok(told)
}

/// Why the members of this group alone cannot be read, if so.
async fn unreadable(
    upstream: &dyn Upstream,
    group: &RemoteGroup,
) -> Result<Option<UpstreamError>, UpstreamError> {
    match upstream.members(&group.name).await {
        Ok(_) => Ok(None),
        Err(error @ UpstreamError::Missing { .. }) => {
            // It may have gone meanwhile.
            let is_there = upstream.group(&group.name).await?.is_some();
            Ok(is_there.then_some(error))
        }
        Err(error @ UpstreamError::Later { .. }) => Err(error),
        // Of what excludes each other a part would be taken for the whole.
        Err(error @ UpstreamError::Unknown { .. }) if group.family.is_some() => Err(error),
        Err(error) => Ok(Some(error)),
    }
}
