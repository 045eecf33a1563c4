//! The live test behind `drawbridge check`: what the bridge needs is read once,
//! a small page of it, and every failure has a remedy.

use super::{Hydden, operations::Name};
use crate::upstream::{Finding, UpstreamError};

/// So many of each kind are listed.
const SOME: &str = "3";

impl Hydden {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let base = &self.base;
        let groups = self.some(Name::ListGroups).await;
        if let Err(error @ (UpstreamError::Later { .. } | UpstreamError::Unknown { .. })) = &groups
        {
            return vec![bad(
                format!("{base} does not answer as an API would: {error}"),
                "check base_url, the network between, and the server's certificate \
                 (ca_file trusts a private authority)",
            )];
        }
        let mut found = vec![good(format!("{base} answers"))];
        let refused = |error: &UpstreamError| matches!(error, UpstreamError::Denied { reason } if !reason.starts_with("answered 403"));
        if groups.as_ref().is_err_and(refused) {
            found.push(bad(
                "Hydden.Control does not accept the token".into(),
                "put a fresh access token where token points (those of a session end after an \
                 hour); a file is read again by itself",
            ));
            return found;
        }
        let some = groups.as_ref().ok().cloned().unwrap_or_default();
        found.push(right(Name::ListGroups, groups.map(drop)));
        found.extend(self.of_some_group(&some).await);
        let accounts = self.some(Name::ListAccounts).await;
        found.push(right(Name::ListAccounts, accounts.map(drop)));
        found
    }

    /// What one group alone refuses is no matter of the token: what cannot be read
    /// of all of these is.
    async fn of_some_group(&self, ids: &[String]) -> Option<Finding> {
        let mut last = None;
        for id in ids {
            let members = self.call(Name::GetMembers, &[("id", id)], &[]).await;
            let is_read = members.is_ok();
            last = Some(members.map(drop));
            if is_read {
                break;
            }
        }
        last.map(|members| right(Name::GetMembers, members))
    }

    /// The ids of the first things of a list.
    async fn some(&self, name: Name) -> Result<Vec<String>, UpstreamError> {
        let page = self.call(name, &[], &[("limit", SOME)]).await?;
        let lists = ["groups", "accounts", "data"];
        let list = lists.iter().find_map(|key| page.get(key)?.as_array());
        let ids = list
            .into_iter()
            .flatten()
            .filter_map(|it| it.get("id")?.as_str());
        Ok(ids.map(str::to_owned).collect())
    }
}

fn right(name: Name, result: Result<(), UpstreamError>) -> Finding {
    let what = name.words();
    match result {
        Ok(()) => good(format!("the token may {what}")),
        Err(UpstreamError::Denied { reason }) => bad(
            format!("the token may not {what}: {reason}"),
            "give its owner a role that reads groups and accounts: Reviewer is enough",
        ),
        Err(error) => bad(
            format!("{what}: {error}"),
            "check that base_url is the address of Hydden.Control, with nothing behind it",
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

fn bad(what: String, remedy: &str) -> Finding {
    Finding {
        ok: false,
        what,
        remedy: Some(remedy.to_owned()),
    }
}
