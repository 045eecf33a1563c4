//! The live test behind `drawbridge check`: each declared reading is done once,
//! and what cannot be understood names the key to correct. The right to write
//! is not tried, because trying would change something.

use super::{Rest, operation::Name};
use crate::upstream::{Finding, Upstream, UpstreamError};

/// An account that nobody has (RFC 2606).
const NOBODY: &str = "drawbridge-check@example.invalid";

impl Rest {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let groups = self.groups().await;
        let base = &self.settings.base_url;
        if let Err(error @ UpstreamError::Later { .. }) = &groups {
            return vec![bad(
                format!("{base} does not answer as an API would: {error}"),
                "check base_url, the network between, and the server's certificate \
                 (ca_file trusts a private authority)"
                    .into(),
            )];
        }
        let mut found = vec![good(format!("{base} answers"))];
        let first = groups.as_ref().ok().and_then(|list| list.first().cloned());
        if self.settings.has(Name::ListGroups) {
            found.push(reading(Name::ListGroups, groups.map(|list| list.len())));
        }
        if let Some(group) = first {
            let members = self.members(&group.name).await;
            found.push(reading(Name::ListMembers, members.map(|list| list.len())));
        }
        if self.settings.has(Name::ListUsers) {
            let users = self.users().await;
            found.push(reading(Name::ListUsers, users.map(|list| list.len())));
        }
        if self.settings.has(Name::FindUser) {
            let nobody = match self.account(NOBODY).await {
                // What is no id or name at all may be refused as such.
                Err(UpstreamError::Rejected { .. }) => Ok(0),
                found => found.map(|found| found.iter().count()),
            };
            found.push(reading(Name::FindUser, nobody));
        }
        if found.iter().all(|finding| finding.ok) {
            let untried = "the right to write is not tried, because trying would change something";
            found.push(good(untried.into()));
        }
        found
    }
}

fn reading(name: Name, result: Result<usize, UpstreamError>) -> Finding {
    let (what, key) = (name.words(), name.key());
    match result {
        Ok(count) => good(format!("{what}: works, with {count} in the answer")),
        Err(error @ UpstreamError::Denied { .. }) => bad(
            format!("{what}: {error}"),
            "give the token this right; if it is not accepted at all, put a fresh one where \
             token points, and compare authentication with the API's reference"
                .into(),
        ),
        Err(error) => bad(
            format!("{what}: {error}"),
            format!("compare operations.{key} with the API's reference"),
        ),
    }
}

fn good(what: String) -> Finding {
    Finding {
        ok: true,
        what,
        remedy: None,
    }
}

fn bad(what: String, remedy: String) -> Finding {
    Finding {
        ok: false,
        what,
        remedy: Some(remedy),
    }
}
