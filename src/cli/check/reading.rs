//! Reads what an import reads, as far as that is soon done. The smallest answer
//! of each kind may be in order where one entry of the whole is not, and an import
//! that meets such a one shows nobody.

use std::{cell::Cell, time::Duration};

use tokio::time::timeout;

use super::{bad, good};
use crate::upstream::{Finding, Upstream, UpstreamError};

/// What is not read by then is not read.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of so many groups the members are read.
const GROUPS: usize = 5;

pub(super) async fn finding(upstream: &dyn Upstream) -> Finding {
    let reading = Cell::new("users");
    match timeout(PATIENCE, whole(upstream, &reading)).await {
        Ok(Ok(told)) => good(&told),
        Ok(Err(error)) => bad(
            &format!("it cannot be read as an import reads it: {error}"),
            "an import fails on this too, and shows nobody as long as it does: correct what is \
             told here, in the application or in [connection.upstream]",
        ),
        Err(_) => good(&format!(
            "what an import reads is more than is read here in {} s, which ended with the {}; so \
             an import may still fail, which `drawbridge status` tells",
            PATIENCE.as_secs(),
            reading.get()
        )),
    }
}

/// Notes what it reads.
async fn whole(upstream: &dyn Upstream, reading: &Cell<&str>) -> Result<String, UpstreamError> {
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
    let some = groups.iter().take(GROUPS);
    for group in some.clone() {
        match upstream.members(&group.name).await {
            // It has gone meanwhile.
            Ok(_) | Err(UpstreamError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(format!(
        "an import can read it: {} users, {} groups, and the members of {} of them, which is as \
         many as are tried",
        users.len(),
        groups.len(),
        some.len()
    ))
}
