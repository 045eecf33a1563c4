//! The live test behind `drawbridge check`: what the bridge needs is read once,
//! the smallest page of it, and every failure has a remedy.

use super::{Hydden, operations::Name};
use crate::upstream::{Finding, UpstreamError};

impl Hydden {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let base = &self.base;
        let groups = self.first(Name::ListGroups).await;
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
        let first = groups.as_ref().ok().cloned().flatten();
        found.push(right(Name::ListGroups, groups.map(drop)));
        if let Some(id) = first {
            let members = self.call(Name::GetMembers, &[("id", &id)], &[]).await;
            found.push(right(Name::GetMembers, members.map(drop)));
        }
        let accounts = self.first(Name::ListAccounts).await;
        found.push(right(Name::ListAccounts, accounts.map(drop)));
        found
    }

    /// The id of the first thing of a list, if it holds any.
    async fn first(&self, name: Name) -> Result<Option<String>, UpstreamError> {
        let page = self.call(name, &[], &[("limit", "1")]).await?;
        let lists = ["groups", "accounts", "data"];
        let list = lists.iter().find_map(|key| page.get(key)?.as_array());
        let first = list.and_then(|list| list.first());
        let id = first.and_then(|first| first.get("id")?.as_str());
        Ok(id.map(str::to_owned))
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
