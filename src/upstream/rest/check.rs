//! The live test behind `drawbridge check`: each declared reading is done once,
//! and what cannot be understood names the key to correct. The right to write
//! is not tried, because trying would change something.

use super::{Rest, operation::Name};
use crate::upstream::{Finding, RemoteGroup, Upstream, UpstreamError};

/// An account that nobody has (RFC 2606).
const NOBODY: &str = "drawbridge-check@example.invalid";
/// Of so many groups the members are tried.
const SOME: usize = 3;

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
        let some: Vec<RemoteGroup> = groups.iter().flatten().take(SOME).cloned().collect();
        if self.settings.has(Name::ListGroups) {
            found.push(reading(Name::ListGroups, groups.map(|list| list.len())));
        }
        found.extend(self.of_some_group(&some).await);
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

    /// What one group alone refuses is no matter of the token, or of what is declared:
    /// what cannot be read of all of these is.
    async fn of_some_group(&self, groups: &[RemoteGroup]) -> Option<Finding> {
        let mut last = None;
        for group in groups {
            let members = self.members(&group.name).await;
            let is_read = members.is_ok();
            last = Some(members.map(|list| list.len()));
            if is_read {
                break;
            }
        }
        last.map(|members| reading(Name::ListMembers, members))
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
