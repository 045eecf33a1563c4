//! The live test behind `drawbridge check`: four questions that only read,
//! each answered with a remedy. The right to write cannot be tested without
//! writing, and is said to be untested rather than guessed.

use super::{
    Opsera,
    operations::{Key, Name},
};
use crate::upstream::{Finding, UpstreamError};

/// An address that nobody has (RFC 2606).
const NOBODY: &str = "drawbridge-check@example.invalid";
/// A name that no group should have.
const NO_GROUP: &str = "drawbridge-check";

impl Opsera {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let query = [(self.wire.key(Key::SearchEmail), NOBODY)];
        let search = self.read(Name::SearchUser, &[], &query).await.map(drop);
        let mut found = vec![self.reached(&search)];
        if matches!(
            search,
            Err(UpstreamError::Later { .. } | UpstreamError::Unknown { .. })
        ) {
            // Nothing further can be learned without an answer.
            return found;
        }
        if is_unauthorized(&search) {
            found.push(not_accepted());
            return found;
        }
        let query = [(self.wire.key(Key::GroupsIds), NO_GROUP)];
        let groups = self.read(Name::ListGroups, &[], &query).await.map(drop);
        if is_unauthorized(&groups) {
            found.push(not_accepted());
            return found;
        }
        // "Nobody has this address" and "there is no such path" look alike, so
        // one answer at least must be Opsera's beyond doubt.
        if let (Err(error), false) = (&groups, is_known(&search) || is_known(&groups)) {
            found.push(self.unlike(error));
            return found;
        }
        found.push(good("the token is accepted".into()));
        found.push(right("search users", Name::SearchUser, &search, true));
        found.push(right("list groups", Name::ListGroups, &groups, false));
        if self.settings.people {
            let person = self.read(Name::GetPerson, &[("email", NOBODY)], &[]).await;
            let person = person.map(drop);
            found.push(right("read People", Name::GetPerson, &person, true));
        }
        if found.iter().all(|finding| finding.ok) {
            found.push(good(
                "the right to write is not tried, because trying would change something: the \
                 token needs the scope api"
                    .into(),
            ));
        }
        found
    }

    fn reached(&self, search: &Result<(), UpstreamError>) -> Finding {
        let base = &self.settings.base_url;
        match search {
            Err(UpstreamError::Later { reason, .. } | UpstreamError::Unknown { reason }) => bad(
                format!("{base} does not answer as an API would: {reason}"),
                "check base_url, the network between, and the server's certificate \
                 (ca_file trusts a private authority)"
                    .into(),
            ),
            _ => good(format!("{base} answers")),
        }
    }

    fn unlike(&self, error: &UpstreamError) -> Finding {
        bad(
            format!(
                "nothing shows that {} is Opsera: neither searching users nor listing groups \
                 works ({error})",
                self.settings.base_url
            ),
            format!(
                "check base_url, the server's address with nothing behind it; if it is right, \
                 compare operations.{} and operations.{} with your tenant's API reference",
                Name::SearchUser.row().key,
                Name::ListGroups.row().key
            ),
        )
    }
}

fn not_accepted() -> Finding {
    bad(
        "Opsera does not accept the token".into(),
        "make a new personal access token in Opsera (they expire) and put it where \
         token points; a file is read again by itself"
            .into(),
    )
}

fn right(
    what: &str,
    name: Name,
    result: &Result<(), UpstreamError>,
    missing_is_fine: bool,
) -> Finding {
    let key = name.row().key;
    match result {
        Ok(()) => good(format!("the token may {what}")),
        Err(UpstreamError::Missing { .. }) if missing_is_fine => {
            good(format!("the token may {what}"))
        }
        Err(UpstreamError::Denied { reason }) => bad(
            format!("the token may not {what}: {reason}"),
            "give the token the scope api, and its owner the site role Administrator or \
             Power User"
                .into(),
        ),
        Err(UpstreamError::Missing { reason } | UpstreamError::Rejected { reason }) => bad(
            format!("{what}: {reason}"),
            format!(
                "Opsera does not publish this path: look it up in your tenant's API reference \
                 and set operations.{key}"
            ),
        ),
        Err(error) => bad(
            format!("{what}: {error}"),
            format!(
                "try again; if it stays, compare operations.{key} with your tenant's API reference"
            ),
        ),
    }
}

/// Whether only an application that knows the request answers so.
fn is_known(result: &Result<(), UpstreamError>) -> bool {
    matches!(result, Ok(()) | Err(UpstreamError::Denied { .. }))
}

fn is_unauthorized(result: &Result<(), UpstreamError>) -> bool {
    // 403 is a matter of rights; what else is denied is the token itself.
    matches!(result, Err(UpstreamError::Denied { reason }) if !reason.starts_with("answered 403"))
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
